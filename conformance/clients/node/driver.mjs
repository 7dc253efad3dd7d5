// Runs an exchange for every case of the file that is named, and says what came of it, a line of JSON each.
import { readFileSync } from 'node:fs';

const ERRORS = /\b(invalid_[a-z_]+|unauthorized_client|unsupported_[a-z_]+|use_dpop_nonce|access_denied)\b/;

// By its own member, by the body where a challenge came with it, or by what its text says.
async function errorOf(error) {
  for (const own of [error?.error, error?.errorCode]) if (typeof own === 'string') return own;
  const body = await error?.response?.json?.().catch(() => undefined);
  return body?.error ?? ERRORS.exec(`${error?.message}`)?.[1];
}

export async function run(exchange) {
  const setup = JSON.parse(readFileSync(process.argv[2]));
  for (const given of setup.cases) {
    const line = { case: given.case };
    try {
      line.token = await exchange(setup, given);
    } catch (error) {
      Object.assign(line, { error: await errorOf(error), detail: `${error?.name}: ${error?.message} ${error?.cause ?? ''}`.slice(0, 500) });
    }
    console.log(JSON.stringify(line));
  }
}
