# the entries that consumers read; "create" is for `rotator adopt` where there is none yet
path "secret/data/vonage/*" {
  capabilities = ["create", "read", "update"]
}
# values on their way: written before Vonage hears of them
path "secret/data/rotator/pending/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/destroy/rotator/pending/*" {
  capabilities = ["update"]
}
# what a token may do with itself: see when it ends, live on, be given back, see what it may;
# the policy `default`, which a token may be issued without, grants the same
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
