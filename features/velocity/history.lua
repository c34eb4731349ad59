-- The past of a series, put together beside the live one, and looking at it. Every function touches
-- the keys of one entity only.
--
-- FCALL ts_append_@VERSION@ 2 <shadow key> <position key> <plan> <position> <ms> <value>...
-- FCALL ts_merge_@VERSION@ 3 <series key> <shadow key> <position key> <plan> <cut ms>
-- FCALL ts_peek_@VERSION@ 1 <series key> <plan> <now ms>
--   plan   as of ts_observe with one series; append and merge read no windows
--
-- A shadow is kept like its series. Its position key says up to where history is in it; without
-- that the shadow is not known to be whole, and begins again.

local IDLE_MS = 86400000   -- a shadow that nothing is added to is forgotten after this
local AT_ONCE = 500        -- members added by one command

local function append(keys, args)
  if not call then bind() end
  local shadow, position = keys[1], keys[2]
  local series = parsed(args[1])[1]
  local observe_series, nothing = observers[series.measure], {}
  local upto = tonumber(call('GET', position))
  if not upto then
    call('DEL', shadow)
    upto = -1
  end
  local added = 0
  for i = 2, #args, 3 do
    local at = tonumber(args[i])
    if at > upto then
      upto, added = at, added + 1
      observe_series(series, shadow, tonumber(args[i + 1]), args[i + 2], nothing)
    end
  end
  call('SET', position, format('%.0f', upto), 'PX', IDLE_MS)
  call('PEXPIRE', shadow, IDLE_MS)
  return added
end

-- Add members to a sorted set, from the given one on; `last` is the earliest time they may have.
local function added(key, later, from, last, renamed, ...)
  local words = { key, ... }
  local fixed = #words
  for i = from, #later, 2 do
    words[#words + 1] = math.max(last, tonumber(later[i + 1]))
    words[#words + 1] = renamed and renamed(later[i]) or later[i]
    if #words > AT_ONCE or i + 2 > #later then
      call('ZADD', unpack(words))
      for k = #words, fixed + 1, -1 do words[k] = nil end
    end
  end
end

-- Live records follow those of the shadow: they come later, and what they count comes on top.
local function totals_followed(series, shadow, later)
  local measure = series.measure
  local newest = call('ZRANGE', shadow, -1, -1, 'WITHSCORES')
  local sequence, _, past, amount = taken_apart(newest[1], measure)
  local upto, own, before = taken_apart(later[1], measure)
  if not upto or (measure ~= 'c' and not before) then return end -- of another measure
  local more = sequence - (upto - own)
  local total = measure ~= 'c' and past + amount - before
  added(shadow, later, 1, tonumber(newest[2]), function(member)
    upto, own, before, amount = taken_apart(member, measure)
    own = own > 1 and format(':%.0f', own) or ''
    if measure == 'c' then return format('%016.0f%s', upto + more, own) end
    return format('%016.0f%.0f:%.0f%s', upto + more, before + total, amount, own)
  end)
end

local function extremes_followed(series, shadow, later)
  if not tonumber(later[1]) then return end -- of another measure
  local last = tonumber(call('ZRANGE', shadow, -1, -1, 'WITHSCORES')[2])
  local i = 1
  repeat -- the first outdoes what it can; so do any that come no later than the shadow's last
    observe_extremes(series, shadow, tonumber(later[i + 1]), later[i], {})
    i = i + 2
  until i > #later or tonumber(later[i + 1]) > last
  added(shadow, later, i, last)
end

local function values_followed(_, shadow, later)
  local last = tonumber(call('ZRANGE', shadow, -1, -1, 'WITHSCORES')[2])
  added(shadow, later, 1, last, nil, 'GT')
  local many = call('ZCARD', shadow) - VALUES
  if many > 0 then call('ZREMRANGEBYRANK', shadow, 0, many - 1) end
end

local function seen_followed(series, live, shadow, cut)
  local first, last = match(call('GET', live), '^(%d+) (%d+)$')
  first, last = tonumber(first), tonumber(last)
  if last <= cut then return end
  local past_first, past_last = match(call('GET', shadow), '^(%d+) (%d+)$')
  past_first, past_last = tonumber(past_first), tonumber(past_last)
  last = math.max(last, past_last)
  -- No gap between past and live, and none within live: seen since the first of the past.
  if first - past_last < series.retention then first = past_first end
  call('SET', shadow, format('%.0f %.0f', first, last))
end

local followed = {
  c = totals_followed, s = totals_followed, m = totals_followed,
  n = extremes_followed, x = extremes_followed, d = values_followed,
}

local function merge(keys, args)
  if not call then bind() end
  local live, shadow, position = keys[1], keys[2], keys[3]
  local series, cut = parsed(args[1])[1], tonumber(args[2])
  if call('EXISTS', shadow) == 0 then return 0 end
  -- A live series of another type was declared otherwise once: it gives way.
  if call('TYPE', live).ok == call('TYPE', shadow).ok then
    if followed[series.measure] then
      local later = call('ZRANGEBYSCORE', live, '(' .. args[2], '+inf', 'WITHSCORES')
      if #later > 0 then followed[series.measure](series, shadow, later) end
    else
      seen_followed(series, live, shadow, cut)
    end
  end
  call('RENAME', shadow, live)
  call('PEXPIRE', live, series.expiry)
  call('DEL', position)
  return 1
end

-- Whether events are missing between members: only then were some thinned away. Of n and x it can
-- be told from their number alone.
local function is_thinned(series, key, size)
  local measure = series.measure
  if measure == 'd' then return size >= VALUES end
  if measure == 'n' or measure == 'x' then return size > MEMBERS - TIDY_MOST end
  local oldest, own = taken_apart(call('ZRANGE', key, 0, 0)[1], measure)
  local newest = taken_apart(call('ZRANGE', key, -1, -1)[1], measure)
  if newest - oldest + own == size then return false end -- a member for each event
  local sequence
  for rank = 0, size - 1, AT_ONCE do
    for _, member in ipairs(call('ZRANGE', key, rank, rank + AT_ONCE - 1)) do
      local upto, own = taken_apart(member, measure)
      if sequence and upto - own ~= sequence then return true end
      sequence = upto
    end
  end
  return false
end

local function peek(keys, args)
  if not call then bind() end
  local key, series, reply = keys[1], parsed(args[1])[1], {}
  if is_foreign(series, key) then
    return redis.error_reply('REPLAN this series was kept under another catalog')
  end
  observers[series.measure](series, key, tonumber(args[2]), '', reply)
  if call('EXISTS', key) == 0 then return { reply, 0, 0, false, false, 0 } end
  local bytes = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if type(bytes) ~= 'number' then bytes = 0 end -- not every server lets everybody ask
  if not followed[series.measure] then
    local first, last = match(call('GET', key), '^(%d+) (%d+)$')
    return { reply, 1, bytes, tonumber(first), tonumber(last), 0 }
  end
  local size = call('ZCARD', key)
  local first = tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  local last = tonumber(call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
  return { reply, size, bytes, first, last, is_thinned(series, key, size) and 1 or 0 }
end

redis.register_function('ts_append_@VERSION@', append)
redis.register_function('ts_merge_@VERSION@', merge)
redis.register_function('ts_peek_@VERSION@', peek)
