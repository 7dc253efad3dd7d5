// The MCP SDK: from an MCP server to its authorization server, and back with a token.
import { auth } from '@modelcontextprotocol/sdk/client/auth.js';
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { run } from './driver.mjs';

// recipe
const withSecret = (issuer, clientId, clientSecret) =>
  new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer });

const withKey = (issuer, clientId, privateKey) =>
  new PrivateKeyJwtProvider({ clientId, privateKey, algorithm: 'ES256', expectedIssuer: issuer });
// end

await run(async (setup, given) => {
  const provider = given.auth === 'private_key_jwt'
    ? withKey(setup.issuer, given.client_id, given.keys.ES256.pem)
    : withSecret(setup.issuer, given.client_id, given.client_secret);
  await auth(provider, { serverUrl: setup.mcp }); // a transport with authProvider does this at the first 401
  return provider.tokens().access_token;
});
