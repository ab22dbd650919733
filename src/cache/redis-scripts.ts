/**
 * What happens in Redis as one step. All keys of a script belong to one tenant and lie in one slot of a cluster.
 *
 * A tenant's state is a hash of `id` (the generation, part of every other key) and `seq` (counts removals). It lives longer
 * than any entry; should it be lost, a new generation begins, and with it an empty cache: what cannot be proved to hold is
 * not served.
 *
 * A tag's value is the count at its last removal, or when it was first used. An entry carries the count at which it was
 * written, and holds as long as none of its tags is missing or counts more.
 */

/** KEYS: state, entry. ARGV: generation as known, a fresh one, life of the state in ms. → generation, count, entry or nil. */
export const lookScript = `
local id = redis.call('HGET', KEYS[1], 'id')
if not id then
  id = ARGV[2]
  redis.call('HSET', KEYS[1], 'id', id, 'seq', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local entry = false
if id == ARGV[1] then entry = redis.call('GET', KEYS[2]) end
return {id, redis.call('HGET', KEYS[1], 'seq'), entry}
`;

/**
 * KEYS: state, entry, removal of this key, order, sizes, then for each tag its count and its members.
 * ARGV: generation, count at the beginning, entry, its key, its life in ms, end of its life, now, most bytes of the tenant,
 * life of the state in ms.
 * → 0 when it was removed since; else 1 and the keys that had to make room.
 */
export const writeScript = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return {0} end
local mark = tonumber(ARGV[2])
local removed = redis.call('GET', KEYS[3])
if removed and tonumber(removed) > mark then return {0} end
for i = 6, #KEYS, 2 do
  local count = redis.call('GET', KEYS[i])
  if count and tonumber(count) > mark then return {0} end
end
local seq = redis.call('HGET', KEYS[1], 'seq')
local key, life, most = ARGV[4], ARGV[5], tonumber(ARGV[8])
redis.call('SET', KEYS[2], string.format('%016d', seq) .. ARGV[3], 'PX', life)
redis.call('PEXPIRE', KEYS[1], ARGV[9])
for i = 6, #KEYS, 2 do
  if not redis.call('SET', KEYS[i], seq, 'NX', 'PX', ARGV[9]) then redis.call('PEXPIRE', KEYS[i], ARGV[9]) end
  redis.call('SADD', KEYS[i + 1], key)
  redis.call('PEXPIRE', KEYS[i + 1], ARGV[9])
end
local size = #ARGV[3] + 256
local total = tonumber(redis.call('HGET', KEYS[5], '*') or '0')
total = total + size - tonumber(redis.call('HGET', KEYS[5], key) or '0')
redis.call('HSET', KEYS[5], key, size)
redis.call('ZADD', KEYS[4], ARGV[6], key)
local drop = function(gone)
  total = total - tonumber(redis.call('HGET', KEYS[5], gone) or '0')
  redis.call('HDEL', KEYS[5], gone)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[7], 'LIMIT', 0, 100)) do
  drop(gone)
  redis.call('ZREM', KEYS[4], gone)
end
local reply = {1}
while total > most and #reply < 100 do
  local gone = redis.call('ZPOPMIN', KEYS[4])[1]
  if not gone then break end
  drop(gone)
  reply[#reply + 1] = gone
end
redis.call('HSET', KEYS[5], '*', total)
redis.call('PEXPIRE', KEYS[4], ARGV[9])
redis.call('PEXPIRE', KEYS[5], ARGV[9])
return reply
`;

/**
 * KEYS: state, entry, removal of this key, order, sizes. ARGV: generation, key, life of the note in ms, channel, message.
 * → how many entries went; -1 when there is another generation by now.
 */
export const removeKeyScript = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return -1 end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('SET', KEYS[3], seq, 'PX', ARGV[3])
local gone = redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[4], ARGV[2])
local size = redis.call('HGET', KEYS[5], ARGV[2])
if size then
  redis.call('HDEL', KEYS[5], ARGV[2])
  redis.call('HINCRBY', KEYS[5], '*', -size)
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return gone
`;

/**
 * KEYS: state, the tag's count, its members. ARGV: generation, life of the count in ms, channel, message.
 * → -1 when there is another generation by now; else the keys of what depended on it, none of which can be read any more.
 */
export const removeTagScript = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return -1 end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('SET', KEYS[2], seq, 'PX', ARGV[2])
local keys = redis.call('SMEMBERS', KEYS[3])
redis.call('DEL', KEYS[3])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return keys
`;

/** KEYS: state. ARGV: a fresh generation, life of the state in ms, channel, message. → the generation before, or nil. */
export const removeTenantScript = `
local before = redis.call('HGET', KEYS[1], 'id')
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'seq', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return before
`;

/** Takes what has gone out of the books. KEYS: order, sizes. ARGV: keys. */
export const forgetScript = `
for _, key in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], key)
  local size = redis.call('HGET', KEYS[2], key)
  if size then
    redis.call('HDEL', KEYS[2], key)
    redis.call('HINCRBY', KEYS[2], '*', -size)
  end
end
return 1
`;

/** KEYS: lead, those who wait. ARGV: token, life of the lead in ms, life of the note in ms. → 1 when it was free. */
export const leadScript = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 0
`;

/** KEYS: lead, those who wait. ARGV: token, channel, message. Gives up only what is still held, and tells who waits. */
export const endLeadScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if redis.call('DEL', KEYS[2]) == 1 then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return 1
`;

/** KEYS: lead. ARGV: token, life of the lead in ms. Keeps what is still held. */
export const keepLeadScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;
