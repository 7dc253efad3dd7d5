// express-oauth2-jwt-bearer: middleware in front of an API.
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import { run } from './driver.mjs';

// recipe
function api(issuer, audience) {
  const app = express();
  app.use(auth({ issuerBaseURL: issuer, audience, tokenSigningAlg: 'ES256', strict: true }));
  app.get('/', (request, response) => response.json(request.auth.payload));
  return app;
}
// end

await run(async ({ issuer, audience }) => {
  const server = await new Promise((ready) => {
    const listening = api(issuer, audience).listen(0, '127.0.0.1', () => ready(listening));
  });
  server.unref();
  return async (token) => {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { authorization: `Bearer ${token}`, connection: 'close' } });
    if (!answer.ok) throw new Error(answer.headers.get('www-authenticate') ?? `${answer.status} ${(await answer.text()).slice(0, 200)}`);
    return (await answer.json()).sub;
  };
});
