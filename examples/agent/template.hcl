# Keeps a file up to date with the account's secret, and reloads the application that reads it:
#   vault agent -config=template.hcl     (or `bao agent`)

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

template_config {
  # The entry has no lease, so it is read at this interval. The default is 5m.
  static_secret_render_interval = "5m"
}

template {
  destination          = "/etc/sms-gateway/vonage.env"
  perms                = "0600"
  error_on_missing_key = true

  # Fields that are not needed are left out, so that a change of them reloads nothing.
  contents = <<EOT
{{- with secret "secret/data/vonage/sms-prod" -}}
VONAGE_API_KEY={{ .Data.data.api_key }}
VONAGE_API_SECRET={{ .Data.data.api_secret }}
VONAGE_SECRET_ID={{ .Data.data.rotator.secret_id }}
{{ end -}}
EOT

  # Runs when the content has changed, once: the agent does not repeat a command that fails.
  exec {
    command = ["/usr/bin/systemctl", "reload-or-restart", "sms-gateway.service"]
    timeout = "30s"
  }
}

# For `rotator gate file`, which then needs no access to the secret. Written together with the file
# above.
template {
  destination          = "/etc/sms-gateway/vonage.id"
  perms                = "0644"
  error_on_missing_key = true
  contents             = "{{ with secret \"secret/data/vonage/sms-prod\" }}{{ .Data.data.rotator.secret_id }}{{ end }}"
}
