#!/bin/bash
# Starts a broker with the settings that KAFKA_... variables name, as the official image does: KAFKA_NODE_ID is node.id.
set -eu
env | grep '^KAFKA_' | while IFS='=' read -r name value; do
    echo "$(echo "${name#KAFKA_}" | tr 'A-Z_' 'a-z.')=$value"
done >/tmp/server.properties
broker=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*')
"${broker[@]}" kafka.tools.StorageTool format --ignore-formatted -t 4L6g3nShT-eMCtK--X86sw -c /tmp/server.properties
exec "${broker[@]}" kafka.Kafka /tmp/server.properties
