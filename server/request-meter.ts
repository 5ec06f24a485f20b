/**
 * Counts requests and their times, and writes them in Prometheus' text format. prom-client builds a text of the labels at every
 * observation (measured: 2 µs and 700 bytes a request for a counter and a histogram); here the numbers of a route stand in an
 * array, and labels are written when somebody asks.
 */

const REQUESTS = 'indelible_http_requests_total';
const DURATIONS = 'indelible_http_request_duration_seconds';
/** Upper bounds of the buckets, in seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface MeteredRoute {
  readonly method: string;
  /** The pattern, never a path. */
  readonly path: string;
}

const NO_ROUTE: MeteredRoute = { method: 'other', path: 'none' };

interface Numbers {
  /** Requests by status. */
  readonly statuses: Map<number, number>;
  /** Requests by the first bound they are not above; the last is for what is above all. */
  readonly buckets: number[];
  seconds: number;
}

export class RequestMeter {
  readonly #routes = new Map<MeteredRoute, Numbers>();

  answered(route: MeteredRoute | undefined, status: number, seconds: number): void {
    const numbers = this.#of(route ?? NO_ROUTE);
    numbers.statuses.set(status, (numbers.statuses.get(status) ?? 0) + 1);
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > (BOUNDS[bucket] as number)) bucket++;
    numbers.buckets[bucket] = (numbers.buckets[bucket] ?? 0) + 1;
    numbers.seconds += seconds;
  }

  #of(route: MeteredRoute): Numbers {
    let numbers = this.#routes.get(route);
    if (numbers === undefined) {
      numbers = { statuses: new Map(), buckets: new Array<number>(BOUNDS.length + 1).fill(0), seconds: 0 };
      this.#routes.set(route, numbers);
    }
    return numbers;
  }

  /** Two metrics in the text format 0.0.4: requests by status, and their times. */
  render(): string {
    const counts = [`# HELP ${REQUESTS} Requests answered, by method, route and status.`, `# TYPE ${REQUESTS} counter`];
    const times = [`# HELP ${DURATIONS} Time from a request to its answer.`, `# TYPE ${DURATIONS} histogram`];
    for (const [{ method, path }, { statuses, buckets, seconds }] of this.#routes) {
      const labels = `method="${method}",route="${path}"`;
      for (const [status, count] of statuses) {
        counts.push(`${REQUESTS}{${labels},status="${status}"} ${count}`);
      }
      let sum = 0;
      for (const [i, count] of buckets.entries()) {
        sum += count;
        times.push(`${DURATIONS}_bucket{le="${BOUNDS[i] ?? '+Inf'}",${labels}} ${sum}`);
      }
      times.push(`${DURATIONS}_sum{${labels}} ${seconds}`, `${DURATIONS}_count{${labels}} ${sum}`);
    }
    return `${[...counts, '', ...times].join('\n')}\n`;
  }
}
