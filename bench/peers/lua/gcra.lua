-- The generic cell rate algorithm in Valkey, one call a request; it counts no usage.
local answer = require 'answer'
local known = require 'known_keys'
local call = require 'valkey_call'

return function()
    local key = known[ngx.var.http_x_api_key]
    if not key then
        return answer.wrong_key()
    end
    local reply, why = call('gcra:' .. key.tenant, answer.LIMIT, answer.WINDOW_S * 1000000)
    if not reply then
        return answer.unavailable(why)
    end
    return answer.decided(reply[1] == 1, reply[2], reply[3])
end
