// jose: a remote key set, and, where an API has one, the status list of its tokens.
import { inflateSync } from 'node:zlib';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { run } from './driver.mjs';

// recipe
const keysOf = (issuer) => createRemoteJWKSet(new URL(`${issuer}/jwks`));

const verify = async (token, keys, issuer, audience) =>
  (await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'sub'] })).payload;
// end

// recipe status list
// Asks the list that a token names; keep the list for its `ttl` instead of fetching it each time.
async function stillValid({ status }, keys) {
  const { uri, idx } = status.status_list;
  const signed = await (await fetch(uri)).text();
  const { payload } = await jwtVerify(signed, keys, { subject: uri, typ: 'statuslist+jwt', requiredClaims: ['exp', 'ttl'] });
  const { bits, lst } = payload.status_list;
  const data = inflateSync(Buffer.from(lst, 'base64url'));
  return ((data[(idx * bits) >> 3] >> ((idx * bits) & 7)) & ((1 << bits) - 1)) === 0;
}
// end

await run(({ issuer, audience, how }) => {
  const keys = keysOf(issuer);
  return async (token) => {
    const claims = await verify(token, keys, issuer, audience);
    if (how === 'status list' && !(await stillValid(claims, keys))) throw new Error('the status list says that it is invalid');
    return claims.sub;
  };
});
