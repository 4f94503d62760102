-- How a check is answered: as gateways do, with the limit, what is left of it, and when it is whole again.
local answer = {LIMIT = 10000000, WINDOW_S = 60}

function answer.wrong_key()
    ngx.status = 401
    ngx.print('{"ok":false}')
end

function answer.unavailable(why)
    ngx.log(ngx.ERR, why)
    ngx.status = 503
    ngx.print('{"ok":false}')
end

function answer.decided(allowed, remaining, reset_s)
    local header = ngx.header
    header['X-RateLimit-Limit'] = answer.LIMIT
    header['X-RateLimit-Remaining'] = remaining
    header['X-RateLimit-Reset'] = reset_s
    if not allowed then
        ngx.status = 429
        header['Retry-After'] = reset_s
        ngx.print('{"ok":false}')
        return
    end
    header['Content-Length'] = 11
    ngx.print('{"ok":true}')
end

return answer
