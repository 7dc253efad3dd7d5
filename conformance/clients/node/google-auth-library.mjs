// google-auth-library: credentials of the kind `external_account`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExternalAccountClient } from 'google-auth-library';
import { run } from './driver.mjs';

// recipe
const credentials = (issuer, target, tokenFile, tokenType, clientId, clientSecret, scopes) =>
  ExternalAccountClient.fromJSON({
    type: 'external_account',
    audience: target,
    subject_token_type: tokenType,
    token_url: `${issuer}/token`,
    credential_source: { file: tokenFile },
    client_id: clientId,
    client_secret: clientSecret,
    scopes,
    eagerRefreshThresholdMillis: 60_000, // 300 s when left out, the whole life of a token
  });
// end

await run(async (setup, given) => {
  const folder = mkdtempSync(join(tmpdir(), 'token-'));
  try {
    const file = join(folder, 'token');
    writeFileSync(file, given.subject_token);
    const found = credentials(setup.issuer, given.audience, file, given.subject_token_type, given.client_id || undefined,
      given.client_secret || undefined, given.scope ? given.scope.split(' ') : undefined);
    const { token } = await found.getAccessToken();
    if (given.twice && (await found.getAccessToken()).token !== token) throw new Error('another token for the second call');
    return token;
  } finally {
    rmSync(folder, { recursive: true });
  }
});
