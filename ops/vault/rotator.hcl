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
