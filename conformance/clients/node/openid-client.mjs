// openid-client: discovery, then a grant of any kind, with DPoP and nonces.
import * as client from 'openid-client';
import { importPKCS8 } from 'jose';
import { run } from './driver.mjs';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

// recipe
const discover = (issuer, clientId, login) =>
  client.discovery(new URL(issuer), clientId, undefined, login, {
    algorithm: 'oauth2',
    execute: issuer.startsWith('http:') ? [client.allowInsecureRequests] : [],
  });

const exchange = async (config, parameters, dpop, grant = GRANT) =>
  (await client.genericGrantRequest(config, grant, parameters, dpop ? { DPoP: dpop } : undefined)).access_token;
// end

await run(async (setup, given) => {
  const login = {
    basic: () => client.ClientSecretBasic(given.client_secret),
    post: () => client.ClientSecretPost(given.client_secret),
    none: () => client.None(),
    private_key_jwt: async () => {
      const { pem, kid } = given.keys.ES256;
      return client.PrivateKeyJwt({ key: await importPKCS8(pem, 'ES256'), kid });
    },
  }[given.auth];
  const config = await discover(setup.issuer, given.client_id, await login());
  const parameters = {};
  for (const name of ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'resource', 'scope', 'assertion', 'requested_token_use'])
    if (given[name]) parameters[name] = given[name];
  const dpop = given.dpop && client.getDPoPHandle(config, await client.randomDPoPKeyPair());
  if (given.grant === 'client_credentials') return (await client.clientCredentialsGrant(config, parameters)).access_token;
  return exchange(config, parameters, dpop, given.grant);
});
