// Who logs in. A browser sends name and password with each request: those that were right from its address before are no
// attempt, so that who is logged in is not limited. From elsewhere they are one, or else the right guess of many would be
// told by its answer.

function known(r) {
  const text = `${r.variables.limited_client} ${r.variables.http_authorization}`;
  return require('crypto').createHash('sha256').update(text).digest('hex');
}

// Whom an attempt is counted for; nobody for a request without a password.
function attempt(r) {
  return r.variables.http_authorization && !ngx.shared.admitted.has(known(r)) ? r.variables.limited_client : '';
}

// Called with the header of an answer. Only this status is sure to come after the password was looked at.
function admitted(r) {
  if (r.status === 200 && r.variables.http_authorization) {
    ngx.shared.admitted.set(known(r), 1);
  }
}

export default { attempt, admitted };
