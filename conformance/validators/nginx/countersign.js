// Lets a request through when its token is active and meant for this API.
const AUDIENCE = 'https://assistant.example';

async function check(r) {
    const token = /^Bearer ([\w.~+\/-]+=*)$/i.exec(r.headersIn.Authorization || '');
    if (!token) {
        r.headersOut['WWW-Authenticate'] = 'Bearer';
        return r.return(401);
    }
    const answer = await r.subrequest('/introspect', { method: 'POST', body: 'token=' + encodeURIComponent(token[1]) });
    if (answer.status !== 200) return r.return(503);
    const found = JSON.parse(answer.responseText);
    if (found.active && [].concat(found.aud).includes(AUDIENCE)) return r.internalRedirect('@api');
    r.headersOut['WWW-Authenticate'] = 'Bearer error="invalid_token"';
    r.return(401);
}

export default { check };
