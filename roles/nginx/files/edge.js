// The edge: which colour of an application answers, who may look at the other one, and what is counted.
// What all workers share is in dictionaries of nginx; it outlives a reload, and after a start pools.json takes its place.
//
// njs runs this text anew for each request: whatever stands here outside of functions is paid for by all of them, and so is
// every function. What root asks is in admin.js, which plain requests do not load.

// --- the pools -------------------------------------------------------------------------------------------------------

// One text, so that one read is enough for a request: '17;nest=green;fastapi=blue/10/beta/16;' says that nest is green, and
// that fastapi is blue but for 10 percent of new visitors and the cohort beta, in a canary that began with generation 16.
function text() {
  return ngx.shared.pools.get('text') || begun();
}

// What was once told stays in force until it is changed, also over a reload that reads another pools.json.
function begun() {
  ngx.shared.pools.add('text', written(durable.generation, durable.apps, ''));
  return ngx.shared.pools.get('text');
}

// The canary of an application keeps the generation that it began with from the text of before.
function written(generation, apps, before) {
  const entries = Object.keys(apps).sort().map((app) => {
    const canary = apps[app].canary;
    if (!canary) {
      return `${app}=${apps[app].live}`;
    }
    const began = entry(before, app).split('/')[3] || generation;
    return `${app}=${apps[app].live}/${canary.weight}/${canary.cohort || ''}/${began}`;
  });
  return [generation].concat(entries, ['']).join(';');
}

function entry(pools, app) {
  const start = pools.indexOf(`;${app}=`);
  if (start < 0) {
    return 'green';
  }
  const from = start + app.length + 2;
  return pools.slice(from, pools.indexOf(';', from));
}

// --- the choice ------------------------------------------------------------------------------------------------------

function other(colour) {
  return colour === 'green' ? 'blue' : 'green';
}

// Whom the plain request of this virtual machine of njs is counted for, so that its end need not ask nginx again. Each request
// has its own machine, and a new one when it is led to another location: then it is empty, which only takes longer.
let chosen = '';

// Called once for each request to an application, before it is passed on.
function choose(r) {
  const app = r.variables.edge_app;
  const pool = entry(text(), app);
  let colour = pool;
  if (r.variables.edge_special) {
    colour = special(r, app, pool);
    if (colour === 'refused') {
      return colour;
    }
    if (r.variables.edge_kind) {
      remember(r, app, colour);
      return colour;
    }
  } else if (pool.length > 5) {
    colour = canary(r, app, pool.split('/'));
  }
  chosen = `${app} ${colour}`;
  ngx.shared.counts.incr(`started ${chosen}`, 1);
  return colour;
}

function canary(r, app, values) {
  const live = values[0];
  const cohort = r.variables.http_x_protostar_cohort || r.variables.cookie_protostar_cohort;
  if (values[2] && cohort === values[2]) {
    return other(live);
  }
  // A visitor keeps the number that was drawn: who is in stays in, and more come in as the weight grows.
  const cookie = (r.variables[`cookie_protostar_${app}`] || '').split('-');
  let drawn = cookie[0] === values[3] ? Number(cookie[1]) : NaN;
  if (!(drawn >= 0 && drawn < 100)) {
    drawn = Math.floor(Math.random() * 100);
    r.variables.edge_cookie =
      `protostar_${app}=${values[3]}-${drawn}; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax`;
  }
  return drawn < Number(values[1]) ? other(live) : live;
}

// A preview is answered by the colour that is not live, a probe by that of everybody; both are told which it was, and are
// never answered by the other colour in its place.
function special(r, app, pool) {
  const wanted = r.variables.http_x_protostar_preview || r.variables.cookie_protostar_preview;
  const secret = wanted || r.variables.http_x_protostar_probe;
  if (!secret) {
    return pool.length > 5 ? canary(r, app, pool.split('/')) : pool;
  }
  const known = require('crypto').createHash('sha256').update(secret).digest('hex') === preview.sha256;
  if (!known) {
    return 'refused';
  }
  const live = pool.split('/')[0];
  const shown = wanted ? other(live) : live;
  r.variables.edge_shown = shown;
  r.variables.edge_alone = '-alone';
  return shown;
}

// WebSockets and event streams last, and are told one by one when they are cut.
function remember(r, app, colour) {
  const session = {
    app: app,
    colour: colour,
    kind: r.variables.edge_kind,
    path: r.variables.request_uri.split('?')[0],
    client: r.variables.remote_addr,
    since: Date.now() / 1000,
  };
  try {
    ngx.shared.sessions.set(r.variables.request_id, JSON.stringify(session));
  } catch (error) {
    r.error(`protostar: a session is not counted: ${error}`);
  }
}

// --- the counts ------------------------------------------------------------------------------------------------------

// Called when a request is logged, so at its very end; returns the colour for the log.
function finish(r) {
  if (chosen) {
    const who = chosen;
    chosen = '';
    ended(r, who);
    return who.slice(who.indexOf(' ') + 1);
  }
  const app = r.variables.edge_app;
  const colour = app ? r.variables.edge_colour : '';
  if (colour === 'refused') {
    return '';
  }
  if (colour && r.variables.edge_kind) {
    ngx.shared.sessions.delete(r.variables.request_id);
    ngx.shared.counts.incr(`ended ${app} ${colour} ${kindOf(r.status)}`, 1);
    return colour;
  }
  ended(r, `${app || r.variables.answered_by} ${colour || '-'}`);
  return colour;
}

function kindOf(status) {
  return status === 200 ? '2xx' : `${Math.floor(status / 100)}xx`;
}

function ended(r, who) {
  const time = r.variables.request_time;
  // What is answered within a millisecond takes no time that could be added.
  if (time === '0.000') {
    ngx.shared.counts.incr(`done ${who} ${kindOf(r.status)} 0`, 1);
    return;
  }
  // To the header of the answer, where one application gave it: how long a visitor takes to read it is not its doing.
  const header = Number(r.variables.upstream_header_time || time);
  const seconds = header >= 0 ? header : Number(time);
  const limits = bounds();
  let bucket = 0;
  while (bucket < limits.length && seconds > limits[bucket]) {
    bucket += 1;
  }
  ngx.shared.counts.incr(`done ${who} ${kindOf(r.status)} ${bucket}`, 1);
  ngx.shared.counts.incr(`seconds ${who}`, seconds);
}

// Seconds at which the buckets of durations end.
function bounds() {
  return [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
}

export default { choose, finish, text, written, entry, bounds };
