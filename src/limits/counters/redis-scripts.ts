import { leaseMs } from './counters.ts';
import { prelude } from './redis-prelude.ts';

/** For all but the push, which is what mends it: who knows another memory of the group is told so, and nothing else happens. */
const notLost = `
if lost then return {-1} end
enter()
`;

/**
 * ARGV of every script: writer, its connection, the memory it knows or '', a name for a new one, now or '', how long the
 * head is needed in ms. Here also: 1 to take and 0 to look, id, sequence number, what is held, demands.
 * → outcome (0 admitted, n: the n-th has no room, -1 another memory, -2 too late, -3 unknown), now, memory, then each counter.
 */
export const admitScript = `${prelude}
if lost then return {-1} end
local take = ARGV[7] == '1'
local demands = cjson.decode(ARGV[11])
if take then enter() end
sweep()
local keys = {}
for i, d in ipairs(demands) do
  local kind = d[1]
  if kind == 1 then keys[i] = p .. 't:' .. d[2]
  elseif kind == 2 then keys[i] = p .. 'f:' .. d[2]
  elseif kind == 3 then keys[i] = p .. 'c:' .. d[2]
  else keys[i] = w .. '-' end
end
local raw = {}
if #keys > 0 then raw = call('MGET', unpack(keys)) end
local found, outcome, unknown = {}, 0, {}
for i, d in ipairs(demands) do
  local kind, room, amount = d[1], 0, d[5]
  if kind == 1 then
    local level, stored, at = levelNow(raw[i], d[3], d[4])
    room = math.floor(level / 1000000)
    found[i] = {level, stored, at}
  elseif kind == 2 then
    local s = readWindow(raw[i])
    local index, current, previous, elapsed, span = view(s, d[3])
    local held = s and s[4] or 0
    room = math.floor((d[4] * span - (previous * (span - elapsed) + (current + held) * span)) / span)
    found[i] = {index, current, previous, held, s}
  elseif kind == 3 then
    local held = tonumber(raw[i] or '0')
    room = d[3] - held
    amount = 1
    found[i] = {held}
  else
    local b = call('HMGET', p .. 'b:' .. d[2], 'base', 'own', 'doubt', 'held', 'awaited', 'w:' .. me)
    local spent = tonumber(b[1] or '0') + tonumber(b[2] or '0') + tonumber(b[3] or '0')
    local held = tonumber(b[4] or '0')
    if b[1] and b[5] == '0' and b[6] then
      room = d[3] - spent - held
      found[i] = {spent, held, 1}
    else
      unknown[#unknown + 1] = i
      found[i] = {spent, held, 0}
    end
    amount = d[4]
  end
  if outcome == 0 and amount > room then outcome = i end
end
if take and #unknown > 0 then return {-3, now, e, unpack(unknown)} end
local reply = {outcome, now, e or ''}
local n = 3
if take and outcome == 0 then
  if ARGV[10] ~= '' then
    if call('HSETNX', p .. 'h', ARGV[8], ARGV[10]) == 0 then
      return redis.error_reply('HELD this reservation is held already')
    end
    call('ZADD', p .. 'r', fmt(now + ${leaseMs}), ARGV[8])
    keepHolds()
  end
  local sequence = tonumber(ARGV[9])
  if call('HSET', p .. 'n:' .. me, sequence % 1024, ARGV[9]) == 1 then call('PEXPIRE', p .. 'n:' .. me, life(3600000)) end
end
for i, d in ipairs(demands) do
  local kind, f = d[1], found[i]
  if kind == 1 then
    if take and outcome == 0 then
      f[1] = f[1] - d[5] * 1000000
      writeRate(d[2], f[1], now, d[3], d[4])
    elseif take and raw[i] and f[3] > now then
      writeRate(d[2], f[2], now, d[3], d[4])
    end
    reply[n + 1] = f[1]
    n = n + 1
  elseif kind == 2 then
    if take and outcome == 0 then
      if d[6] == 1 then f[4] = f[4] + d[5] else f[2] = f[2] + d[5] end
      writeWindow(d[2], f[1], f[2], f[3], f[4], d[3])
    elseif take and f[5] and f[5][1] > math.floor(now / d[3]) + 1 then
      writeWindow(d[2], math.floor(now / d[3]), f[5][2], f[5][3], f[4], d[3])
    end
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = f[1], f[2], f[3], f[4]
    n = n + 4
  elseif kind == 3 then
    if take and outcome == 0 then
      f[1] = f[1] + 1
      writeHeld(d[2], f[1])
    end
    reply[n + 1] = f[1]
    n = n + 1
  else
    if take and outcome == 0 then
      f[2] = f[2] + d[4]
      call('HINCRBY', p .. 'b:' .. d[2], 'held', fmt(d[4]))
    end
    reply[n + 1], reply[n + 2], reply[n + 3] = f[1], f[2], f[3]
    n = n + 3
  end
end
return reply
`;

/** ARGV also: settled as [id, [[window's counter, actual]…]]…, told as [budget's counter, own, end]… → 0, now, memory. */
export const settleScript = `${prelude}${notLost}
for _, told in ipairs(cjson.decode(ARGV[8])) do tell(told[1], told[2], told[3]) end
for _, item in ipairs(cjson.decode(ARGV[7])) do release(item[1], item[2]) end
return {0, now, e}
`;

/** ARGV also: [id] or [id, what it holds]… → 0, now, memory, then the ids that are not held and came without what they hold. */
export const renewScript = `${prelude}${notLost}
local reply = {0, now, e}
for _, item in ipairs(cjson.decode(ARGV[7])) do
  local id, record = item[1], item[2]
  local held = call('HEXISTS', p .. 'h', id) == 1
  if not held and record then
    undoubt(id)
    call('HSET', p .. 'h', id, record)
    for _, hold in ipairs(cjson.decode(record)[2]) do rehold(hold) end
    held = true
  end
  if held then call('ZADD', p .. 'r', fmt(now + ${leaseMs}), id)
  else reply[#reply + 1] = id end
end
keepHolds()
return reply
`;

/**
 * What a process counted by itself. ARGV also: the push's number, what it tells, and what it saw last or '': without that
 * nothing happens when the memory is another one.
 * → 0, now, memory, 1 when it was another memory than the one the process knew.
 */
export const pushScript = `${prelude}
if lost and ARGV[9] == '' then return {-1} end
enter()
local number = tonumber(ARGV[7])
if not lost and tonumber(call('HGET', w, 'p:' .. me) or '0') >= number then return {0, now, e, 0} end
call('HSET', w, 'p:' .. me, ARGV[7])
local push = cjson.decode(ARGV[8])
local takeRate = function(name, milli, burst, missing)
  local level = levelNow(call('GET', p .. 't:' .. name), milli, burst)
  level = math.min(burst * 1000000, math.max(0, level - missing))
  writeRate(name, level, now, milli, burst)
end
local addWindow = function(name, windowMs, at, amount)
  local s = readWindow(call('GET', p .. 'f:' .. name))
  local index, current, previous = view(s, windowMs)
  if at == index then current = math.max(0, current + amount)
  elseif at == index - 1 then previous = math.max(0, previous + amount)
  else return end
  writeWindow(name, index, current, previous, s and s[4] or 0, windowMs)
end
-- Taken: [1, name, milli, burst, units] or [2, name, window, index, amount].
local count = function(taken, sign)
  if taken[1] == 1 then takeRate(taken[2], taken[3], taken[4], sign * taken[5] * 1000000)
  else addWindow(taken[2], taken[3], taken[4], sign * taken[5]) end
end
if lost then
  -- Each process tells what it saw last. The most of it counts once; what was counted since stays.
  for _, seen in ipairs(cjson.decode(ARGV[9])) do
    local field = seen[1] .. ':' .. seen[2]
    local before = call('HGET', p .. 'm', field)
    if seen[1] == 1 then
      local missing = seen[4] * 1000000 - levelNow(fmt(seen[5]) .. ' ' .. fmt(seen[6]), seen[3], seen[4])
      local more = missing - tonumber(before or '0')
      if more > 0 then
        takeRate(seen[2], seen[3], seen[4], more)
        call('HSET', p .. 'm', field, fmt(missing))
      end
    else
      local index, current, previous = view({seen[4], seen[5], seen[6], 0}, seen[3])
      local _, oldCurrent, oldPrevious = view(readWindow(before), seen[3])
      if current > oldCurrent then addWindow(seen[2], seen[3], index, current - oldCurrent) end
      if previous > oldPrevious then addWindow(seen[2], seen[3], index - 1, previous - oldPrevious) end
      call('HSET', p .. 'm', field, fmt(index) .. ' ' .. fmt(math.max(current, oldCurrent)) .. ' ' ..
        fmt(math.max(previous, oldPrevious)) .. ' 0')
    end
  end
  call('PEXPIRE', p .. 'm', life(2 * need))
end
for _, taken in ipairs(push.taken) do count(taken, 1) end
-- Admissions whose reply was lost: [sequence number, whether it was admitted here, taken…].
for _, unsure in ipairs(push.unsure) do
  local applied = tonumber(call('HGET', p .. 'n:' .. me, unsure[1] % 1024) or '-1') == unsure[1]
  for _, taken in ipairs(unsure[3]) do
    if applied and unsure[2] == 0 then count(taken, -1) end
    if not applied and unsure[2] == 1 then count(taken, 1) end
  end
end
for _, told in ipairs(push.own) do tell(told[1], told[2], told[3]) end
for _, item in ipairs(push.settled) do release(item[1], item[2]) end
return {0, now, e, lost and 1 or 0}
`;

/** ARGV also: counter, base, own, writers, end. → 0, now, memory. */
export const establishScript = `${prelude}${notLost}
local name, ends = ARGV[7], tonumber(ARGV[11])
local key = p .. 'b:' .. name
local all, told = call('HGETALL', key), {}
for i = 1, #all, 2 do
  local field = string.sub(all[i], 1, 2)
  if field == 'o:' then told[string.sub(all[i], 3)] = tonumber(all[i + 1]) end
  if field == 'o:' or field == 'w:' then call('HDEL', key, all[i]) end
end
told[me] = math.max(told[me] or 0, tonumber(ARGV[9]))
-- The base has the rows of all that are not among the writers.
local own, awaited = 0, 0
for _, writer in ipairs(cjson.decode(ARGV[10])) do
  call('HSET', key, 'w:' .. writer, '1')
  if told[writer] then
    call('HSET', key, 'o:' .. writer, fmt(told[writer]))
    own = own + told[writer]
  else awaited = awaited + 1 end
end
call('HSET', key, 'base', ARGV[8], 'own', fmt(own), 'awaited', awaited)
budgetLife(name, ends)
return {0, now, e}
`;

/** ARGV also: the dead writer. All it held is free, and nothing of it in doubt. → 0, now, memory. */
export const forgetScript = `${prelude}${notLost}
for _, place in ipairs({'d', 'h'}) do
  local all = call('HGETALL', p .. place)
  for i = 1, #all, 2 do
    if cjson.decode(all[i + 1])[1] == ARGV[7] then
      if place == 'd' then undoubt(all[i]) else release(all[i], {}) end
    end
  end
end
call('HDEL', w, 'c:' .. ARGV[7], 'p:' .. ARGV[7])
return {0, now, e}
`;

/** The group's head, the one key that every script is given. */
export const headKey = (group: string): string => `gatehouse:l:{${group}}:w`;
