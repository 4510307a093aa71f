{{/* The alerts, as Prometheus reads them. What to do about each: docs/operations.md. */}}
{{- define "deeprt.rules" -}}
{{- $rules := .Values.monitoring.rules -}}
groups:
  - name: deeprt
    rules:
      - alert: DeepRTDeadlinesMissed
        expr: >-
          sum by (namespace, tenant) (rate(deeprt_deadline_misses_total[5m]))
          / sum by (namespace, tenant) (rate(deeprt_frames_total{outcome=~"onTime|late|dropped"}[5m]))
          > {{ $rules.missBudget }}
        for: 5m
        labels: { severity: warning }
        annotations:
          summary: '{{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} misses {{ "{{ $value | humanizePercentage }}" }} of its deadlines'
          runbook: docs/operations.md#deeprtdeadlinesmissed
      - alert: DeepRTDeviceDegraded
        # For most of ten minutes; a device that recovers in between is not well either.
        expr: avg_over_time((max by (node, device) (deeprt_degradation_rung) > bool 0)[10m:]) > 0.5
        for: 1m
        labels: { severity: warning }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} is behind most of the time; frames are computed at smaller shapes'
          runbook: docs/operations.md#deeprtdevicedegraded
      - alert: DeepRTDeviceDown
        expr: min by (node, device) (deeprt_device_ready) == 0
        for: 1m
        labels: { severity: critical }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} runs no jobs'
          runbook: docs/operations.md#deeprtdevicedown
      - alert: DeepRTProfileStale
        # For most of ten minutes: each time the device is measured again, the ratio starts anew.
        expr: avg_over_time((max by (node, device) (deeprt_run_wcet_ratio) > bool 1)[10m:]) > 0.5
        for: 1m
        labels: { severity: warning }
        annotations:
          summary: 'device {{ "{{ $labels.device }}" }} of {{ "{{ $labels.node }}" }} does not do what was measured, and measuring again does not settle it'
          runbook: docs/operations.md#deeprtprofilestale
      - alert: DeepRTAgentSilent
        expr: max by (node) (deeprt_agent_silent) == 1
        for: 1m
        labels: { severity: critical }
        annotations:
          summary: 'the agent of {{ "{{ $labels.node }}" }} does not report, and tenants were promised to be served there'
          runbook: docs/operations.md#deeprtagentsilent
      - alert: DeepRTNoLeader
        expr: (sum(deeprt_operator_leading) or vector(0)) < 1
        for: 2m
        labels: { severity: critical }
        annotations:
          summary: no operator leads; nobody is admitted, and lost nodes are not replaced
          runbook: docs/operations.md#deeprtnoleader
      - alert: DeepRTTenantNotAdmitted
        expr: max by (namespace, tenant) (deeprt_tenant_admitted) == 0
        for: {{ $rules.notAdmittedFor }}
        labels: { severity: info }
        annotations:
          summary: '{{ "{{ $labels.namespace }}/{{ $labels.tenant }}" }} has had no place for {{ $rules.notAdmittedFor }}'
          runbook: docs/operations.md#deeprttenantnotadmitted
{{- end -}}
