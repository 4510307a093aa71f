{{/* The alerts, as Prometheus reads them. What to do about each: docs/operations.md. */}}
{{- define "deeprt.rules" -}}
{{- $rules := .Values.monitoring.rules -}}
groups:
  - name: deeprt
    rules:
      # Promised frames by tenant, and those of them that were missed, over the windows of the two alerts below.
      {{- range list "5m" "30m" "1h" "6h" }}
      - record: tenant:deeprt_promised_frames:increase{{ . }}
        expr: >-
          sum by (namespace, tenant) (increase(deeprt_frames_total{outcome=~"onTime|late|dropped"}[{{ . }}]))
          - (sum by (namespace, tenant) (increase(deeprt_spare_frames_total{outcome=~"onTime|late|dropped"}[{{ . }}]))
          or 0 * sum by (namespace, tenant) (increase(deeprt_frames_total{outcome=~"onTime|late|dropped"}[{{ . }}])))
      - record: tenant:deeprt_misses:increase{{ . }}
        expr: sum by (namespace, tenant) (increase(deeprt_deadline_misses_total[{{ . }}]))
      {{- end }}
      # Burn rates (Google's SRE workbook, "Alerting on SLOs"): what would use up a month's budget within two days, seen over an
      # hour and still going on, or within five, seen over six. A few frames are no trend.
      - alert: DeepRTDeadlinesMissed
        expr: >-
          (tenant:deeprt_misses:increase1h > 14.4 * {{ $rules.missBudget }} * tenant:deeprt_promised_frames:increase1h
          and tenant:deeprt_misses:increase5m > 14.4 * {{ $rules.missBudget }} * tenant:deeprt_promised_frames:increase5m
          and tenant:deeprt_misses:increase1h > {{ $rules.leastMisses }})
          / tenant:deeprt_promised_frames:increase1h
        for: 1m
        labels: { severity: warning, window: short }
        annotations:
          summary: '{{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} misses {{ "{{ $value | humanizePercentage }}" }} of its deadlines'
          runbook_url: {{ $rules.runbooks }}#deeprtdeadlinesmissed
      - alert: DeepRTDeadlinesMissed
        expr: >-
          (tenant:deeprt_misses:increase6h > 6 * {{ $rules.missBudget }} * tenant:deeprt_promised_frames:increase6h
          and tenant:deeprt_misses:increase30m > 6 * {{ $rules.missBudget }} * tenant:deeprt_promised_frames:increase30m
          and tenant:deeprt_misses:increase6h > {{ $rules.leastMisses }})
          / tenant:deeprt_promised_frames:increase6h
        for: 5m
        labels: { severity: warning, window: long }
        annotations:
          summary: '{{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} misses {{ "{{ $value | humanizePercentage }}" }} of its deadlines'
          runbook_url: {{ $rules.runbooks }}#deeprtdeadlinesmissed
      - alert: DeepRTFramesUnanswered
        # Nothing that it sends is answered: refused, failed or not understood.
        expr: >-
          sum by (namespace, tenant) (increase(deeprt_frames_total{outcome=~"refused|failed|invalid|dropped"}[5m])) > {{ $rules.leastMisses }}
          unless sum by (namespace, tenant) (increase(deeprt_frames_total{outcome=~"onTime|late"}[5m])) > 0
        for: 2m
        labels: { severity: warning }
        annotations:
          summary: 'no frame that {{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} sends is answered'
          runbook_url: {{ $rules.runbooks }}#deeprtframesunanswered
      - alert: DeepRTDeviceDegraded
        # For most of ten minutes; a device that recovers in between is not well either.
        expr: avg_over_time((max by (node, device) (deeprt_degradation_rung) > bool 0)[10m:]) > 0.5
        for: 1m
        labels: { severity: warning }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} is behind most of the time; frames are computed at smaller shapes'
          runbook_url: {{ $rules.runbooks }}#deeprtdevicedegraded
      - alert: DeepRTDeviceDown
        expr: min by (node, device) (deeprt_device_ready) == 0
        for: 1m
        labels: { severity: critical }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} runs no jobs'
          runbook_url: {{ $rules.runbooks }}#deeprtdevicedown
      - alert: DeepRTProfileStale
        # For most of ten minutes: each time the device is measured again, the ratio starts anew.
        expr: avg_over_time((max by (node, device) (deeprt_run_wcet_ratio) > bool 1)[10m:]) > 0.5
        for: 1m
        labels: { severity: warning }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} does not do what was measured, and measuring again does not settle it'
          runbook_url: {{ $rules.runbooks }}#deeprtprofilestale
      - alert: DeepRTAgentSilent
        expr: max by (node) (deeprt_agent_silent) == 1
        for: 1m
        labels: { severity: critical }
        annotations:
          summary: 'the agent of {{ "{{ $labels.node }}" }} does not report, and tenants were promised to be served there'
          runbook_url: {{ $rules.runbooks }}#deeprtagentsilent
      - alert: DeepRTNoLeader
        expr: (sum(deeprt_operator_leading) or vector(0)) < 1
        for: 2m
        labels: { severity: critical }
        annotations:
          summary: no operator leads; nobody is admitted, and lost nodes are not replaced
          runbook_url: {{ $rules.runbooks }}#deeprtnoleader
      - alert: DeepRTTenantNotAdmitted
        expr: max by (namespace, tenant) (deeprt_tenant_admitted) == 0
        for: {{ $rules.notAdmittedFor }}
        labels: { severity: info }
        annotations:
          summary: '{{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} has had no place for {{ $rules.notAdmittedFor }}'
          runbook_url: {{ $rules.runbooks }}#deeprttenantnotadmitted
{{- end -}}
