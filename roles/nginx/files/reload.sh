#!/bin/sh
# Has nginx read its configuration, and waits until its workers answer with it: the signal alone says nothing, and a
# configuration that cannot take effect leaves the old one at work.
wanted=$(cat /etc/nginx/protostar/digest)
kill -HUP 1
in_a_row=0
tries=0
while [ "$tries" -lt 100 ]; do
  if [ "$(curl --silent --max-time 1 http://127.0.0.1:8080/digest)" = "$wanted" ]; then
    in_a_row=$((in_a_row + 1))
  else
    in_a_row=0
  fi
  # Old workers accept connections for a moment beside the new ones.
  [ "$in_a_row" -ge 5 ] && exit 0
  tries=$((tries + 1))
  sleep 0.1
done
echo "nginx still runs its configuration of before: 'docker logs nginx' says why" >&2
exit 1
