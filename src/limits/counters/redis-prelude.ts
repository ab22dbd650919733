import { sweepAtMost } from './counters.ts';

/**
 * What happens in Redis as one step. All keys of a group carry its name as their hash tag and so lie in one slot of a
 * cluster. A script is given one of them, the group's head; the others' names are made of it, because which counters a
 * sweep touches is only known inside.
 *
 * `…:w` head: `e` (which memory of the group this is), `x` (until when it is kept), per writer `c:` (its connection) and
 * `p:` (its last push). `…:t:<name>` "level at", `…:f:<name>` "index current previous held", `…:c:<name>` held,
 * `…:b:<name>` a budget's hash, `…:r` reservations by the end of their lease, `…:h` what each holds, `…:d` what of a
 * budget is in doubt, `…:n:<writer>` its last admissions, `…:m` what was known before Redis lost its memory.
 *
 * Numbers are written with `%.0f`: Lua itself would round to 14 digits.
 */
export const prelude = `
local w = KEYS[1]
local p = string.sub(w, 1, -2)
local me, conn, known, given, need = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[5], tonumber(ARGV[6])
local call = redis.call
-- Adding 0 makes -0 a plain one, which Redis takes for no number.
local fmt = function(n) return string.format('%.0f', n + 0) end
local now
if given ~= '' then now = tonumber(given) else
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local heldLife = 86400000
-- A clock that is driven by a test does not go with the one by which Redis forgets.
local life = function(ms)
  ms = math.max(ms, 0) + 1000
  if given ~= '' and ms < heldLife then ms = heldLife end
  return fmt(ms)
end
local head = call('HMGET', w, 'e', 'c:' .. me, 'x')
local e, lost = head[1], false
if not e then
  if known ~= '' then lost = true end
elseif known ~= '' and known ~= e then lost = true end
if head[2] and tonumber(head[2]) > conn then return {-2} end
-- Reservations are kept as long as what they hold may count.
local keptMs = math.max(heldLife, tonumber(head[3] or '0') - now)
local enter = function()
  if not e then
    e = ARGV[4]
    call('HSET', w, 'e', e)
  end
  if head[2] ~= ARGV[2] then call('HSET', w, 'c:' .. me, ARGV[2]) end
  if tonumber(head[3] or '0') < now + need then
    call('HSET', w, 'x', fmt(now + 2 * need))
    call('PEXPIRE', w, life(2 * need))
    keptMs = math.max(keptMs, 2 * need)
  end
end

local levelNow = function(raw, milli, burst)
  local full = burst * 1000000
  if not raw then return full, full, 0 end
  local l, a = string.match(raw, '^(%S+) (%S+)$')
  local level, at = tonumber(l), tonumber(a)
  local grown = level
  if now > at then grown = level + (now - at) * milli end
  if grown > full then grown = full end
  return grown, level, at
end
local writeRate = function(name, level, at, milli, burst)
  call('SET', p .. 't:' .. name, fmt(level) .. ' ' .. fmt(at), 'PX',
    life(math.ceil((burst * 1000000 - level) / milli)))
end

local readWindow = function(raw)
  if not raw then return nil end
  local i, c, q, h = string.match(raw, '^(%S+) (%S+) (%S+) (%S+)$')
  return {tonumber(i), tonumber(c), tonumber(q), tonumber(h)}
end
-- index, current, previous, elapsed, span: as sliding-window.ts has it.
local view = function(s, windowMs)
  local n = math.floor(now / windowMs)
  local unit = 1
  if windowMs >= 3600000 then unit = 1000 end
  local index, current, previous = n, 0, 0
  if s then
    if s[1] == n - 1 then previous = s[2]
    elseif s[1] >= n then
      current, previous = s[2], s[3]
      if s[1] == n + 1 then index = n + 1 end
    end
  end
  local elapsed = 0
  if index == n then elapsed = math.floor((now - n * windowMs) / unit) end
  return index, current, previous, elapsed, windowMs / unit
end
local writeWindow = function(name, index, current, previous, held, windowMs)
  local ms = (index + 2) * windowMs - now
  if held > 0 and ms < heldLife then ms = heldLife end
  call('SET', p .. 'f:' .. name, fmt(index) .. ' ' .. fmt(current) .. ' ' .. fmt(previous) .. ' ' .. fmt(held),
    'PX', life(ms))
end

local writeHeld = function(name, held)
  if held > 0 then call('SET', p .. 'c:' .. name, fmt(held), 'PX', life(heldLife))
  else call('DEL', p .. 'c:' .. name) end
end

local budgetLife = function(name, ends)
  call('PEXPIRE', p .. 'b:' .. name, life(math.max(ends - now, 0) + heldLife))
end
local budgetAdd = function(name, field, amount, ends)
  local key = p .. 'b:' .. name
  if call('HINCRBY', key, field, fmt(amount)) == amount then budgetLife(name, ends) end
end
-- What a writer spent is told as a whole: the most it told is right, in whatever order it arrives.
local tell = function(name, own, ends)
  local key = p .. 'b:' .. name
  local b = call('HMGET', key, 'o:' .. me, 'w:' .. me, 'base')
  local old = tonumber(b[1] or '0')
  -- Whoever is not among the writers is in the base, until it establishes the counter itself.
  if b[3] and not b[2] then return end
  if b[1] and own <= old then return end
  call('HSET', key, 'o:' .. me, fmt(own))
  if not b[1] then budgetLife(name, ends) end
  if not b[2] then return end
  call('HINCRBY', key, 'own', fmt(own - old))
  if not b[1] then call('HINCRBY', key, 'awaited', -1) end
end

-- A hold: kind, name, amount, and the window's length or the budget's end.
local unhold = function(hold, actual)
  local kind, name, amount = hold[1], hold[2], hold[3]
  if kind == 3 then
    writeHeld(name, tonumber(call('GET', p .. 'c:' .. name) or '0') - 1)
  elseif kind == 2 then
    local s = readWindow(call('GET', p .. 'f:' .. name))
    local held = math.max(0, (s and s[4] or 0) - amount)
    local index, current, previous = view(s, hold[4])
    writeWindow(name, index, current + actual, previous, held, hold[4])
  else
    budgetAdd(name, 'held', -amount, hold[4])
  end
end
local rehold = function(hold)
  local kind, name, amount = hold[1], hold[2], hold[3]
  if kind == 3 then
    writeHeld(name, tonumber(call('GET', p .. 'c:' .. name) or '0') + 1)
  elseif kind == 2 then
    local s = readWindow(call('GET', p .. 'f:' .. name))
    local index, current, previous = view(s, hold[4])
    writeWindow(name, index, current, previous, (s and s[4] or 0) + amount, hold[4])
  else
    budgetAdd(name, 'held', amount, hold[4])
  end
end
local undoubt = function(id)
  local record = call('HGET', p .. 'd', id)
  if not record then return false end
  call('HDEL', p .. 'd', id)
  for _, hold in ipairs(cjson.decode(record)[2]) do
    if hold[1] == 4 then budgetAdd(hold[2], 'doubt', -hold[3], hold[4]) end
  end
  return true
end
-- Ends a reservation: what it held is free, what it came to is counted.
local release = function(id, pairsOf)
  local record = call('HGET', p .. 'h', id)
  if not record then
    undoubt(id)
    return false
  end
  call('HDEL', p .. 'h', id)
  call('ZREM', p .. 'r', id)
  for _, hold in ipairs(cjson.decode(record)[2]) do
    local actual = 0
    for _, pair in ipairs(pairsOf) do
      if hold[1] == 2 and pair[1] == hold[2] then actual = pair[2] end
    end
    unhold(hold, actual)
  end
  return true
end
local keepHolds = function()
  call('PEXPIRE', p .. 'h', life(keptMs))
  call('PEXPIRE', p .. 'r', life(keptMs))
end
local sweep = function()
  for _, id in ipairs(call('ZRANGEBYSCORE', p .. 'r', '-inf', fmt(now), 'LIMIT', 0, ${sweepAtMost})) do
    local record = call('HGET', p .. 'h', id)
    call('ZREM', p .. 'r', id)
    call('HDEL', p .. 'h', id)
    local doubtful = false
    if record then
      for _, hold in ipairs(cjson.decode(record)[2]) do
        unhold(hold, 0)
        if hold[1] == 4 then
          budgetAdd(hold[2], 'doubt', hold[3], hold[4])
          doubtful = true
        end
      end
      if doubtful then
        call('HSET', p .. 'd', id, record)
        call('PEXPIRE', p .. 'd', life(40 * heldLife))
      end
    end
  end
end
`;
