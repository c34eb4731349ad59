#!lua name=touchstone_velocity_@VERSION@
-- How a series of one entity is kept, read and added to, one function per family of measures.
-- Followed by observe.lua and history.lua: the three are one library, loaded as one text.
--
-- Measures: c count, s sum, m mean, n min, x max, d distinct, f first seen, l last seen.
--
-- Series keys are sorted sets scored by time (whole ms); events of one millisecond share a member:
--   c    member = sequence[:own]              sequence: how many came up to this member and with it,
--   s m  member = sequence, past:amount[:own] own: how many of these are its own (1 when not said),
--                                             past: the total before it
--        A window is all there is now less what came before its first member. So a member may go:
--        what was its own then counts as of the member before it.
--   n x  member = value                       only those that are more extreme than all later ones:
--                                             a window's extreme is its first member
--   d    member = what is told apart          scored by when it was seen last
-- f and l are strings "first last". Sequence numbers are zero-padded: members of one millisecond
-- (a merge may leave several) sort by text. The plans seen are kept parsed; nothing else outlives
-- a call.

-- No library exists while this text is loaded: bound by the first call.
local call, format, match, sub, floor
local function bind()
  call, format, match, sub, floor =
    redis.call, string.format, string.match, string.sub, math.floor
end

-- Words between @ are the constants of store.py, and the version of this library.
local NEWEST = 4           -- members read at once: most entities have no more; 16 cost a busy one more
local MEMBERS = @MOST_MEMBERS@ -- more than these are thinned, ...
local FINENESS = @FINENESS@ -- ... until neighbours are this fraction of their age apart
local VALUES = @MOST_VALUES@ -- told apart, those seen last
local TIDY_ONE_IN = 8      -- a record in 8 also thins, ...
local TIDY_MOST = 64       -- ... looking at this many members, so that no call stalls the server,
local TRIM_ONE_IN = 32     -- and one in 32 trims what no window can ask for, ...
local TRIM_MOST = 256      -- ... at most this many
local REPEAT_MS = @REPEAT_MS@
local SLACK_MS = 3600000   -- least time that a key outlives its longest window

local plans, plans_kept = {}, 0
local noise = 1

local function parsed(text)
  if plans[text] then return plans[text] end
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

-- Drop members that their neighbours can speak for: a window's first member is then another one, at
-- most 1/256 of the window later. The first and the last member read always stay.
local function thinned(key, t, rank)
  local read = call('ZRANGE', key, rank, rank + TIDY_MOST - 1, 'WITHSCORES')
  local gone, before = {}, tonumber(read[2])
  for i = 4, #read - 2, 2 do
    if (tonumber(read[i + 2]) - before) * FINENESS <= t - before then
      gone[#gone + 1] = read[i - 1]
    else
      before = tonumber(read[i])
    end
  end
  if #gone > 0 then call('ZREM', key, unpack(gone)) end
end

-- Now and then, so that it costs a record next to nothing. Park and Miller 1988; products < 2^53.
local function tidied(key, series, t)
  noise = (noise * 16807) % 2147483647
  if noise % TIDY_ONE_IN ~= 0 then return end
  if noise % TRIM_ONE_IN == 0 then
    local stale = call('ZCOUNT', key, '-inf', t - series.retention)
    if stale > 0 then call('ZREMRANGEBYRANK', key, 0, math.min(stale, TRIM_MOST) - 1) end
  end
  local size = call('ZCARD', key)
  if series.measure == 'd' then
    if size > VALUES then
      call('ZREMRANGEBYRANK', key, 0, math.min(size - VALUES, TIDY_MOST) - 1)
    end
  elseif size > MEMBERS then
    thinned(key, t, floor(noise / TRIM_ONE_IN) % (size - TIDY_MOST))
  end
end

-- The newest members with their times, how many these are, the time to read and record at, and the
-- last time recorded.
local function recent(key, now)
  local newest = call('ZRANGE', key, -NEWEST, -1, 'WITHSCORES')
  local size = #newest / 2
  if size == 0 then return newest, 0, now, nil end
  local last = tonumber(newest[2 * size])
  return newest, size, last > now and last or now, last
end

-- Of the newest members, how many are in the window; nil when these are not all.
local function inside(newest, size, from, found)
  if size == NEWEST and tonumber(newest[2]) >= from then return nil end
  while found < size and tonumber(newest[2 * (size - found)]) >= from do found = found + 1 end
  return found
end

-- The first member in the window, or nil.
local function first_inside(key, newest, size, from)
  local found = inside(newest, size, from, 0)
  if found then return found > 0 and newest[2 * (size - found) + 1] or nil end
  return call('ZRANGEBYSCORE', key, from, '+inf', 'LIMIT', 0, 1)[1]
end

-- A member of c, s or m: its sequence, how many are its own; of s and m: the past, its amount.
local function taken_apart(member, measure)
  local sequence = tonumber(sub(member, 1, 16))
  if measure == 'c' then
    return sequence, #member > 16 and tonumber(sub(member, 18)) or 1
  end
  local past, amount, own = match(member, '^(%-?%d+):(%-?%d+):?(%d*)$', 17)
  return sequence, tonumber(own) or 1, tonumber(past), tonumber(amount)
end

local function observe_totals(series, key, now, value, reply)
  local newest, size, t, last = recent(key, now)
  local measure, windows = series.measure, series.windows
  local sequence, own, past, amount = 0, 0, 0, 0
  if size > 0 then sequence, own, past, amount = taken_apart(newest[2 * size - 1], measure) end
  for i = 1, #windows do
    local first = first_inside(key, newest, size, t - windows[i] + 1)
    local count, total = 0, 0
    if first then
      if measure ~= 's' then
        local upto, its_own = taken_apart(first, measure)
        count = sequence - upto + its_own
      end
      if measure ~= 'c' then
        total = past + amount - match(first, '^%-?%d+', 17)
      end
    end
    if measure ~= 's' then reply[#reply + 1] = count end
    if measure ~= 'c' then reply[#reply + 1] = total end
  end
  if value == '' then return end
  local member
  if last == t then
    call('ZREM', key, newest[2 * size - 1])
    member = measure == 'c' and format('%016.0f:%.0f', sequence + 1, own + 1)
      or format('%016.0f%.0f:%.0f:%.0f', sequence + 1, past, amount + value, own + 1)
  else
    member = measure == 'c' and format('%016.0f', sequence + 1)
      or format('%016.0f%.0f:%s', sequence + 1, past + amount, value)
  end
  call('ZADD', key, t, member)
  kept(key, series, t, last)
  if size == NEWEST then tidied(key, series, t) end
end

local function observe_extremes(series, key, now, value, reply)
  local newest, size, t, last = recent(key, now)
  local windows = series.windows
  for i = 1, #windows do
    local first = first_inside(key, newest, size, t - windows[i] + 1)
    reply[#reply + 1] = first and tonumber(first) or false
  end
  if value == '' then return end
  local side = series.measure == 'x' and 1 or -1
  local least = side * value
  -- Members that are not more extreme than this value go: ranks from `low` on.
  local outdone = 0
  while outdone < size and side * newest[2 * (size - outdone) - 1] <= least do
    outdone = outdone + 1
  end
  if outdone == 0 and last == t then return end -- its millisecond knows a more extreme one
  if outdone == NEWEST then
    local low, high = 0, call('ZCARD', key) - NEWEST
    while low < high do
      local middle = floor((low + high) / 2)
      if side * call('ZRANGE', key, middle, middle)[1] <= least then
        high = middle
      else
        low = middle + 1
      end
    end
    call('ZREMRANGEBYRANK', key, low, -1)
  elseif outdone > 0 then
    call('ZREMRANGEBYRANK', key, -outdone, -1)
  end
  call('ZADD', key, t, value)
  kept(key, series, t, last)
  if size == NEWEST then tidied(key, series, t) end
end

local function observe_values(series, key, now, value, reply)
  local newest, size, t, last = recent(key, now)
  local windows, found = series.windows, 0
  for i = 1, #windows do
    local from = t - windows[i] + 1
    local count = inside(newest, size, from, found)
    if count then
      found = count
    else
      count = math.min(VALUES, call('ZCOUNT', key, from, '+inf'))
    end
    reply[#reply + 1] = count
  end
  if value == '' then return end
  call('ZADD', key, t, value)
  kept(key, series, t, last)
  if size == NEWEST then tidied(key, series, t) end
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

local observers = {
  c = observe_totals, s = observe_totals, m = observe_totals,
  n = observe_extremes, x = observe_extremes, d = observe_values,
  f = observe_seen, l = observe_seen,
}
