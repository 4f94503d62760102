-- A fixed window for each tenant in a shared dict: the count of the minute is the usage count, too.
local answer = require 'answer'
local known = require 'known_keys'

local windows = ngx.shared.windows

return function()
    local key = known[ngx.var.http_x_api_key]
    if not key then
        return answer.wrong_key()
    end
    local now_s = ngx.time()
    local into_s = now_s % answer.WINDOW_S
    local used, why = windows:incr(key.tenant .. ':' .. (now_s - into_s), 1, 0, 2 * answer.WINDOW_S)
    if not used then
        return answer.unavailable(why)
    end
    local remaining = answer.LIMIT - used
    return answer.decided(remaining >= 0, remaining >= 0 and remaining or 0, answer.WINDOW_S - into_s)
end
