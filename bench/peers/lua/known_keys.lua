-- The keys that the worker knows, read once: each line is a key, its tenant and, for some, bytes in hexadecimal.
local known = {}

local function bytes(hex)
    return (hex:gsub('%x%x', function(pair) return string.char(tonumber(pair, 16)) end))
end

for line in io.lines(bench.keys_file) do
    local key, tenant, behind_deadline, request = line:match('^([^\t]*)\t([^\t]*)\t?([^\t]*)\t?([^\t]*)$')
    known[key] = {tenant = tenant, behind_deadline = bytes(behind_deadline), request = bytes(request)}
end

return known
