// Counts every request by application, status class and duration, for Prometheus.
// The counts are in memory that all workers share and that outlives a reload.

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

// Called when the answer's header leaves nginx: an event stream or a WebSocket counts when it begins.
function count(r) {
  const app = r.variables.app;
  const seconds = Number(r.variables.request_time);
  let bucket = BOUNDS.findIndex((bound) => seconds <= bound);
  if (bucket < 0) {
    bucket = BOUNDS.length;
  }
  const counts = ngx.shared.requests;
  counts.incr(`status ${app} ${Math.floor(r.status / 100)}xx`, 1);
  counts.incr(`bucket ${app} ${bucket}`, 1);
  counts.incr(`seconds ${app}`, seconds);
}

function metrics(r) {
  const apps = {};
  const statuses = [];
  ngx.shared.requests.items().forEach((item) => {
    const key = item[0].split(' ');
    const app = apps[key[1]] || (apps[key[1]] = { buckets: new Array(BOUNDS.length + 1).fill(0), seconds: 0 });
    if (key[0] === 'status') {
      statuses.push(`protostar_nginx_requests_total{app="${key[1]}",status="${key[2]}"} ${item[1]}`);
    } else if (key[0] === 'bucket') {
      app.buckets[Number(key[2])] = item[1];
    } else {
      app.seconds = item[1];
    }
  });

  const name = 'protostar_nginx_request_duration_seconds';
  const durations = [];
  Object.keys(apps).sort().forEach((app) => {
    let total = 0;
    apps[app].buckets.forEach((amount, index) => {
      total += amount;
      const bound = index < BOUNDS.length ? BOUNDS[index] : '+Inf';
      durations.push(`${name}_bucket{app="${app}",le="${bound}"} ${total}`);
    });
    durations.push(`${name}_sum{app="${app}"} ${apps[app].seconds}`, `${name}_count{app="${app}"} ${total}`);
  });

  r.headersOut['Content-Type'] = 'text/plain; version=0.0.4; charset=utf-8';
  const requests = 'protostar_nginx_requests_total';
  r.return(200, [
    `# HELP ${requests} Answers, by the application that gave them and the class of their status.`,
    `# TYPE ${requests} counter`,
  ].concat(statuses.sort(), [
    `# HELP ${name} Time from the first byte of a request to the header of its answer.`,
    `# TYPE ${name} histogram`,
  ], durations, ['']).join('\n'));
}

export default { count, metrics };
