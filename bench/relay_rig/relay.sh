# Starts what the role puts on a VM but for its agent: `role`; or with it all other ways, each at a port: `ways`.
set -eu
install -d /etc/protostar-relay /run/protostar-relay /var/lib/protostar-relay
# As the agent writes it.
echo 'map $remote_addr $relay_line { default open; }' >/etc/protostar-relay/line.conf
nft --file /rig/relay.nft
if [ "$1" = ways ]; then
  # In place of the journal.
  socat -u UNIX-RECV:/dev/log,mode=666 OPEN:/dev/null &
  socat -b 65536 TCP-LISTEN:8001,fork,reuseaddr,nodelay,backlog=4096 TCP:HOME_ADDRESS:443,nodelay &
  haproxy -D -f /rig/haproxy.cfg
  nft --file /rig/dnat.nft
fi
exec nginx -c /rig/nginx.conf -g "daemon off;"
