# Writes the account's secret into a file, once, for an application that is about to start:
#   vault agent -config=at-start.hcl     (or `bao agent`)

exit_after_auth = true

vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method {
    type = "approle"
    config = {
      role_id_file_path                   = "/etc/sms-gateway/role-id"
      secret_id_file_path                 = "/etc/sms-gateway/secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

template {
  destination          = "/etc/sms-gateway/vonage.env"
  perms                = "0600"
  error_on_missing_key = true

  contents = <<EOT
{{- with secret "secret/data/vonage/sms-prod" -}}
VONAGE_API_KEY={{ .Data.data.api_key }}
VONAGE_API_SECRET={{ .Data.data.api_secret }}
VONAGE_SECRET_ID={{ .Data.data.rotator.secret_id }}
{{ end -}}
EOT
}

# For `rotator gate file`, which then needs no access to the secret. Written together with the file
# above.
template {
  destination          = "/etc/sms-gateway/vonage.id"
  perms                = "0644"
  error_on_missing_key = true
  contents             = "{{ with secret \"secret/data/vonage/sms-prod\" }}{{ .Data.data.rotator.secret_id }}{{ end }}"
}
