#!lua name=touchstone_velocity_@VERSION@
-- What happened before to one entity, and: this happened too. One call, one hash slot, atomic.
--
-- FCALL ts_observe_@VERSION@ n <reply key> <series key>... <plan> <now ms> <value>...
--   plan   digest|<series>|<series>...; a series is measure,retention,window,window... in ms,
--          windows ascending; measure c count, s sum, d distinct, f first seen, l last seen
--   value  one for each series; the empty string reads without recording
-- Answers one integer per window (f and l: one, milliseconds since, -1 for never).
--
-- Series keys are sorted sets scored by time (whole ms):
--   c  member = sequence number             a window is the number of members in (t - w, t]
--   s  member = sequence, past:amount       a window is the total now less the `past` (the total
--                                           before it) of the first member in (t - w, t]
--   d  member = what is told apart          scored by when it was seen last
-- f and l are strings "first last". Sequence numbers are zero-padded: members of one millisecond
-- sort by text. The plans seen are kept parsed; nothing else outlives a call.

-- No library exists while this text is loaded: bound by the first call.
local call, format, match, sub, floor
local function bind()
  call, format, match, sub, floor =
    redis.call, string.format, string.match, string.sub, math.floor
end

local NEWEST = 4           -- members read at once: most entities have no more; 16 cost a busy one more
local TRIM_ONE_IN = 32     -- a record in 32 also trims, ...
local TRIM_MOST = 256      -- ... at most this many, so that no call stalls the server
local REPEAT_MS = 120000   -- as in store.py
local SLACK_MS = 3600000   -- least time that a key outlives its longest window

local plans, plans_kept = {}, 0
local noise = 1

local function parsed(text)
  local plan = { digest = match(text, '^[^|]*') }
  for measure, rest in string.gmatch(text, '|(%a)([^|]*)') do
    local series = { measure = measure, windows = {} }
    for number in string.gmatch(rest, '%d+') do
      if series.retention then
        series.windows[#series.windows + 1] = tonumber(number)
      else
        series.retention = tonumber(number)
      end
    end
    series.step = math.max(SLACK_MS, floor(series.retention / 8))
    series.expiry = series.retention + 2 * series.step
    plan[#plan + 1] = series
  end
  if plans_kept >= 1000 then plans, plans_kept = {}, 0 end
  plans[text], plans_kept = plan, plans_kept + 1
  return plan
end

-- Expiry is renewed when a record enters another step of time than the one before it, so a key
-- always has its retention and at least one step left.
local function kept(key, series, t, last)
  if not last or floor(t / series.step) ~= floor(last / series.step) then
    call('PEXPIRE', key, series.expiry)
  end
end

local function trimmed(key, series, t)
  noise = (noise * 16807) % 2147483647 -- Park and Miller 1988; products stay below 2^53
  if noise % TRIM_ONE_IN ~= 0 then return end
  local stale = call('ZCOUNT', key, '-inf', t - series.retention)
  if stale > 0 then
    call('ZREMRANGEBYRANK', key, 0, math.min(stale, TRIM_MOST) - 1)
  end
end

local function observe_set(series, key, now, value, reply)
  local newest = call('ZRANGE', key, -NEWEST, -1, 'WITHSCORES')
  local size = #newest / 2
  local measure, windows = series.measure, series.windows
  local t, sums, total, n = now, measure == 's', 0, #reply
  local last, oldest
  if size > 0 then
    last, oldest = tonumber(newest[2 * size]), tonumber(newest[2])
    if last > t then t = last end
    if sums then
      local past, amount = match(newest[2 * size - 1], '^(%d+):(%d+)', 17)
      total = past + amount
    end
  end
  local found = 0 -- of the newest members, those inside the window
  for i = 1, #windows do
    local from = t - windows[i] + 1
    if size < NEWEST or oldest < from then
      while found < size and tonumber(newest[2 * (size - found)]) >= from do found = found + 1 end
      if not sums then
        reply[n + i] = found
      elseif found == 0 then
        reply[n + i] = 0
      else
        reply[n + i] = total - match(newest[2 * (size - found) + 1], '^%d+', 17)
      end
    elseif sums then
      local first = call('ZRANGEBYSCORE', key, from, '+inf', 'LIMIT', 0, 1)
      reply[n + i] = total - match(first[1], '^%d+', 17)
    else
      reply[n + i] = call('ZCOUNT', key, from, '+inf')
    end
  end
  if value == '' then return end
  if measure ~= 'd' then
    local sequence = last and sub(newest[2 * size - 1], 1, 16) or 0
    if sums then
      value = format('%016.0f%.0f:%s', sequence + 1, total, value)
    else
      value = format('%016.0f', sequence + 1)
    end
  end
  call('ZADD', key, t, value)
  kept(key, series, t, last)
  if size == NEWEST then trimmed(key, series, t) end
end

local function observe_seen(series, key, now, value, reply)
  local stored = call('GET', key)
  local t, first, last = now, nil, nil
  if stored then
    first, last = match(stored, '^(%d+) (%d+)$')
    first, last = tonumber(first), tonumber(last)
    if last > t then t = last end
    if last <= t - series.retention then first, last = nil, nil end
  end
  local seen = series.measure == 'f' and first or last
  reply[#reply + 1] = seen and t - seen or -1
  if value ~= '' then
    call('SET', key, format('%.0f %.0f', first or t, t), 'PX', series.expiry)
  end
end

local function observe(keys, args)
  if not call then bind() end
  local plan = plans[args[1]] or parsed(args[1])
  local digest, now = plan.digest, tonumber(args[2])
  local stored = call('GET', keys[1])
  if stored then
    local at, values = cmsgpack.unpack(sub(stored, #digest + 1))
    if now - at < REPEAT_MS then
      if sub(stored, 1, #digest) == digest then return values end
      return redis.error_reply('REPLAN this event was observed under another catalog')
    end
  end
  local reply = {}
  for i = 1, #plan do
    local series = plan[i]
    if series.measure == 'f' or series.measure == 'l' then
      observe_seen(series, keys[i + 1], now, args[i + 2], reply)
    else
      observe_set(series, keys[i + 1], now, args[i + 2], reply)
    end
  end
  call('SET', keys[1], digest .. cmsgpack.pack(now, reply), 'PX', REPEAT_MS)
  return reply
end

redis.register_function('ts_observe_@VERSION@', observe)
