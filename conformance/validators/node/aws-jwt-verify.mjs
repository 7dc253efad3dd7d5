// aws-jwt-verify: its verifier for any issuer, which speaks https alone.
import { JwtVerifier } from 'aws-jwt-verify';
import { run } from './driver.mjs';

// recipe
const verifier = (issuer, audience) => JwtVerifier.create({ issuer, audience, jwksUri: `${issuer}/jwks` });
// end

await run(({ issuer, audience }) => {
  const made = verifier(issuer, audience);
  return async (token) => (await made.verify(token)).sub;
});
