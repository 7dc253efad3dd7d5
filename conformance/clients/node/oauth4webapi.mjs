// oauth4webapi: the same, a layer lower; repeating with a nonce is the caller's.
import * as oauth from 'oauth4webapi';
import { importPKCS8 } from 'jose';
import { run } from './driver.mjs';

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

// recipe
async function discover(issuer, options) {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...options });
  return oauth.processDiscoveryResponse(new URL(issuer), response);
}

async function exchange(server, client, login, parameters, options, grant = GRANT) {
  const ask = async () => {
    const response = await oauth.genericTokenEndpointRequest(server, client, login, grant, parameters, options);
    return oauth.processGenericTokenEndpointResponse(server, client, response);
  };
  const answer = await ask().catch((error) => (oauth.isDPoPNonceError(error) ? ask() : Promise.reject(error)));
  return answer.access_token;
}
// end

await run(async (setup, given) => {
  const options = { [oauth.allowInsecureRequests]: setup.issuer.startsWith('http:') };
  const client = { client_id: given.client_id };
  const login = {
    basic: () => oauth.ClientSecretBasic(given.client_secret),
    post: () => oauth.ClientSecretPost(given.client_secret),
    none: () => oauth.None(),
    private_key_jwt: async () => {
      const { pem, kid } = given.keys.ES256;
      return oauth.PrivateKeyJwt({ key: await importPKCS8(pem, 'ES256'), kid });
    },
  }[given.auth];
  const parameters = {};
  for (const name of ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'resource', 'scope', 'assertion', 'requested_token_use'])
    if (given[name]) parameters[name] = given[name];
  if (given.dpop) options.DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  return exchange(await discover(setup.issuer, options), client, await login(), parameters, options, given.grant);
});
