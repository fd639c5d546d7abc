# Runs an application with the account's secret in its environment, and restarts it with each new
# one:
#   vault agent -config=supervisor.hcl     (or `bao agent`)

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

env_template "VONAGE_API_KEY" {
  contents             = "{{ with secret \"secret/data/vonage/sms-prod\" }}{{ .Data.data.api_key }}{{ end }}"
  error_on_missing_key = true
}

env_template "VONAGE_API_SECRET" {
  contents             = "{{ with secret \"secret/data/vonage/sms-prod\" }}{{ .Data.data.api_secret }}{{ end }}"
  error_on_missing_key = true
}

# For the application to show, so that `rotator gate http` can ask it.
env_template "VONAGE_SECRET_ID" {
  contents             = "{{ with secret \"secret/data/vonage/sms-prod\" }}{{ .Data.data.rotator.secret_id }}{{ end }}"
  error_on_missing_key = true
}

exec {
  command                   = ["/usr/local/bin/sms-gateway"]
  restart_on_secret_changes = "always"
  # Killed 30 seconds later if it still runs.
  restart_stop_signal = "SIGTERM"
}
