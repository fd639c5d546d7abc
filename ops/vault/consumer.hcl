# one consumer reads its own entry, and nothing of rotator's
path "secret/data/vonage/sms-prod" {
  capabilities = ["read"]
}
