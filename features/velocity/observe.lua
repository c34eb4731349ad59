-- What happened before to one entity, and: this happened too. One call, one hash slot, atomic.
--
-- FCALL ts_observe_@VERSION@ n <reply key> <series key>... <plan> <now ms> <value>...
--   plan   digest|<series>|<series>...; a series is its measure's letter, then
--          retention,window,window... in ms, windows ascending
--   value  one for each series; the empty string reads without recording
-- Answers one integer per window; m: two, how many and their sum; n and x: nil over nothing;
-- f and l: one in all, milliseconds since, -1 for never.

-- Whether a key holds what another measure left there: the series was declared otherwise once, and
-- begins anew. Where the members of one could be those of another, the answers are not to be used
-- until history has taken their place.
local function is_foreign(series, key)
  local holds, is_text = call('TYPE', key).ok, observers[series.measure] == observe_seen
  if holds == 'none' then return false end
  if holds == 'string' or is_text then return (holds == 'string') ~= is_text end
  if series.measure == 'd' then return false end
  local newest = call('ZRANGE', key, -1, -1)[1]
  if observers[series.measure] == observe_extremes then return not tonumber(newest) end
  local sequence, _, past = taken_apart(newest, series.measure)
  return not sequence or (series.measure ~= 'c' and not past)
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
    local observe_series, before = observers[series.measure], #reply
    local ok, failure = pcall(observe_series, series, keys[i + 1], now, args[i + 2], reply)
    if not ok then
      if not is_foreign(series, keys[i + 1]) then error(failure, 0) end
      for k = #reply, before + 1, -1 do reply[k] = nil end
      call('DEL', keys[i + 1])
      observe_series(series, keys[i + 1], now, args[i + 2], reply)
    end
  end
  call('SET', keys[1], digest .. cmsgpack.pack(now, reply), 'PX', REPEAT_MS)
  return reply
end

redis.register_function('ts_observe_@VERSION@', observe)
