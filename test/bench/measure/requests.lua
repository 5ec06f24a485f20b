-- What wrk sends and says at the end. The requests are in a file (requests.ts); here they are only copied, and given unique digits, by
-- code that LuaJIT compiles: a request costs wrk about a microsecond.
local ffi = require('ffi')
local bit = require('bit')

local threads = 0
function setup(thread)
  thread:set('number', threads)
  threads = threads + 1
end

local requests = {}
local turn = 0
local count = 0
local digits = {}
for i = 0, 15 do digits[i] = string.byte(('0123456789abcdef'):sub(i + 1, i + 1)) end

function init()
  -- The same in every request of this thread and this run, then the number of the entry.
  local mark = string.format('%s%02x', os.getenv('BENCH_MARK'), number)
  local file = assert(io.open(os.getenv('BENCH_REQUESTS'), 'rb'))
  for line in file:lines() do
    local numbers = {}
    for n in line:gmatch('%d+') do numbers[#numbers + 1] = tonumber(n) end
    local length = numbers[1]
    local buffer = ffi.new('uint8_t[?]', length)
    ffi.copy(buffer, file:read(length), length)
    for i = 2, #numbers do ffi.copy(buffer + numbers[i], mark, 8) end
    requests[#requests + 1] = { buffer = buffer, length = length, places = numbers }
  end
  file:close()
  -- Threads begin at different places, so that they do not ask for the same things at the same moment.
  turn = math.floor(#requests * number / tonumber(os.getenv('BENCH_THREADS')))
end

function request()
  turn = turn % #requests + 1
  local r = requests[turn]
  local places = r.places
  for i = 2, #places do
    count = count + 1
    local rest = count
    local at = places[i] + 15
    for j = 0, 7 do
      r.buffer[at - j] = digits[bit.band(rest, 15)]
      rest = bit.rshift(rest, 4)
    end
  end
  return ffi.string(r.buffer, r.length)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"bytes":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d,"max":%d,"generatorSeconds":%f}\n',
    summary.requests, summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max, os.clock()))
end
