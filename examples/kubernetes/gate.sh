#!/bin/sh
# A gate: open once each pod of the consumer uses the new secret. Each shows the secret's id at
# /vonage-secret; a pod that is being replaced counts until it is gone.
set -eu

# A hook inherits no environment. Its user may list pods, and nothing else.
export KUBECONFIG=/etc/rotator/kubeconfig

pods=$(kubectl --namespace sms get pods --selector app=sms-gateway \
  --field-selector status.phase=Running \
  --output 'jsonpath={range .items[*]}http://{.status.podIP}:8080/vonage-secret {end}')
if [ -z "$pods" ]; then
  echo "no pod of sms-gateway is running" >&2
  exit 1
fi
# One address each: the pods' names are split here.
# shellcheck disable=SC2086
exec rotator gate http $pods
