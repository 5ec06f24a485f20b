/** One entry a request, durable before it is answered. */

import { rawBody } from '../measure/requests.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { applyLoad, type Load, prepare } from '../measure/wrk.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { startBareHttp } from '../subjects/bare-http.ts';
import { Indelible } from '../subjects/indelible.ts';
import { findTessera, startTessera } from '../subjects/tessera.ts';

export const scenario: Scenario = {
  id: 'a',
  title: 'single entries of 200 B, raw, against Tessera',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const folder = bench.folder('requests');
    const tessera = findTessera(bench);
    if ('missing' in tessera) return { series: [], ratios: [], skipped: [tessera.missing] };
    const load = async (subject: Parameters<typeof applyLoad>[0]['subject'], path: string): Promise<Load> => {
      bench.progress(subject.name);
      const bodies = Array.from({ length: 64 }, () => rawBody(200));
      const requests = prepare(
        folder,
        'add',
        bodies.map((body) => ({ method: 'POST', path, headers: subject.headers, body })),
      );
      const result = await applyLoad({ subject, requests, connections: 256, seconds: bench.seconds });
      await subject.stop();
      return result;
    };
    const found = await alternate(bench.pairs, {
      bare: async () => load(await startBareHttp(), '/add'),
      indelible: async () => {
        const server = await Indelible.start({ dataDir: bench.folder('data') });
        await server.createLog('bench', 'raw');
        return load(server, '/logs/bench/add');
      },
      tessera: async () => load(await startTessera(tessera.found, bench.folder('tessera')), '/add'),
    });
    return {
      series: Object.entries(found).flatMap(([subject, loads]) => [
        { subject, figure: 'writes', unit: '/s', values: loads.map((l) => l.perSecond) },
        { subject, figure: 'cpu', unit: 'µs', values: loads.map((l) => l.cpuMicros) },
        { subject, figure: 'p99', unit: 'ms', values: loads.map((l) => l.p99) },
        { subject, figure: 'wrk busy', unit: '', values: loads.map((l) => l.generatorBusy) },
      ]),
      ratios: [
        {
          text: 'x',
          values: ratios(
            found.tessera.map((l) => l.cpuMicros),
            found.indelible.map((l) => l.cpuMicros),
          ),
          atLeast: 1.3,
        },
      ],
    };
  },
};
