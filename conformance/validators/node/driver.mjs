// Asks a validator about every token that comes in, a line of JSON each, and says what it makes of it.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// `make` builds the validator once, as an API does when it starts; it takes a token and gives its `sub`.
export async function run(make) {
  const validate = await make(JSON.parse(readFileSync(process.argv[2])));
  for await (const line of createInterface({ input: process.stdin })) {
    const { case: name, token } = JSON.parse(line);
    const answer = { case: name };
    try {
      answer.sub = await validate(token);
    } catch (error) {
      answer.detail = `${error?.name}: ${error?.message}`.slice(0, 300);
    }
    console.log(JSON.stringify(answer));
  }
}
