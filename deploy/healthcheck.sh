#!/bin/bash
# Exit 0 when the service in this container captions photos, 1 when it does not (yet, or any more).
# bash speaks TCP by itself, so the image needs neither curl nor a second .NET process every few seconds.
exec 2> /dev/null
port=${ASPNETCORE_HTTP_PORTS:-8080}
exec 3<> "/dev/tcp/127.0.0.1/${1:-${port%%[;,]*}}" || exit 1
printf 'GET /health/ready HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[[ $status == 200 ]]
