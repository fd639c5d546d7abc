# the entries that consumers read; "create" is for `rotator adopt` where there is none yet
path "secret/data/vonage/*" {
  capabilities = ["create", "read", "update"]
}
# new values, stored here before they are sent to Vonage
path "secret/data/rotator/pending/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/destroy/rotator/pending/*" {
  capabilities = ["update"]
}
# what a token may do with itself: look itself up, be renewed, be revoked, list its capabilities;
# the policy `default` grants the same, but a token may be issued without it
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
