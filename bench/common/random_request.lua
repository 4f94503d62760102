-- wrk script: each request is one line, drawn at random, of the file that is named after "--".
-- A line is a path, a tab, and the API key to send ("" for none). The seed comes second.
-- At the end it prints what wrk counted as one line of JSON.

local requests = {}

function init(args)
  for line in io.lines(args[1]) do
    local path, key = line:match("^([^\t]*)\t(.*)$")
    local headers = {}
    if key ~= "" then headers["X-API-Key"] = key end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
  math.randomseed(tonumber(args[2]))
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
