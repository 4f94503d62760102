-- One script call to Valkey over a pool of connections that stay open; nil and why where it fails.
local redis = require 'nginx.redis'

local IDLE_MS = 60000
-- One connection for each of the load generator's, and room to spare.
local POOL = 128

return function(store_key, ...)
    local connection = redis:new()
    connection:set_timeout(1000)
    local connected, why = connection:connect('127.0.0.1', bench.valkey_port)
    if not connected then
        return nil, why
    end
    local reply, failure = connection:evalsha(bench.script, 1, store_key, ...)
    if not reply then
        return nil, failure
    end
    connection:set_keepalive(IDLE_MS, POOL)
    return reply
end
