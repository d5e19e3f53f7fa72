#!/bin/sh
# Has nginx read its configuration, and waits until its workers answer with it: the signal alone says nothing, and a
# configuration that cannot take effect leaves the old one at work.
# The colours in force are kept over the reload from the first time that somebody asks for them.
curl --silent --max-time 5 --output /dev/null http://127.0.0.1:8080/metrics || true
wanted=$(cat /etc/nginx/protostar/digest)
# The workers of before, for a replaced certificate leaves the digest as it was.
old=" $(cat /proc/1/task/1/children) "
kill -HUP 1
in_a_row=0
tries=0
while [ "$tries" -lt 100 ]; do
  answer=$(curl --silent --max-time 1 http://127.0.0.1:8080/digest)
  case "$old" in
    *" ${answer#* } "*) in_a_row=0 ;;
    *) if [ "${answer% *}" = "$wanted" ]; then in_a_row=$((in_a_row + 1)); else in_a_row=0; fi ;;
  esac
  # Old workers accept connections for a moment beside the new ones.
  [ "$in_a_row" -ge 5 ] && exit 0
  tries=$((tries + 1))
  sleep 0.1
done
echo "nginx still runs its configuration of before: 'docker logs nginx' says why" >&2
exit 1
