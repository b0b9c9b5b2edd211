package main

// The labels of a shard, of which each replica has the same values.
const perShard = "ksmscale, shard, total_shards"

// shard is the name of a series of a shard.
const shard = "{{ksmscale}} {{shard}} of {{total_shards}}"

// rows are the rows in the order of the questions of somebody on call.
var rows = []row{
	{"Is everything exported?", exported},
	{"Replicas and nodes", replicas},
	{"Shards and their size", sizes},
	{"Gates", gates},
	{"Adapter and autoscalers", autoscalers},
	{"Cost", cost},
}

var exported = []panel{
	{
		title: "Objects without metrics", kind: number, width: 5, red: new(1.0),
		description: "At least so many, as the gates and the API server count them once a minute. Not compared are custom resources, among others: see the condition ObjectsExported.",
		queries:     []query{{`sum(max by (ksmscale, resource) (ksmscale_missing_objects{ksmscale=~"$ksmscale"}))`, ""}},
	},
	{
		title: "Shards that Prometheus scrapes", kind: number, unit: "percentunit", width: 5, red: new(1.0), redBelow: true,
		description: "During a reshard one complete partition is enough. Below 100 %, metrics of some objects are missing.",
		queries:     []query{{`min(ksmscale:coverage:ratio{ksmscale=~"$ksmscale"})`, ""}},
	},
	{
		title: "Shards without a ready pod", kind: number, width: 5, red: new(1.0),
		description: "The objects of these shards have no metrics.",
		queries:     []query{{`sum(max by (` + perShard + `) (ksmscale_shard_covered{ksmscale=~"$ksmscale"}) == bool 0)`, ""}},
	},
	{
		title: "KSMScales that are not Ready", kind: number, width: 5, red: new(1.0),
		description: "kubectl describe ksmscale NAME has the reason in the condition Ready.",
		queries:     []query{{`sum(max by (ksmscale) (ksmscale_status_condition{condition="Ready", status="true", ksmscale=~"$ksmscale"}) == bool 0)`, ""}},
	},
	{
		title: "Objects with metrics", kind: number, width: 4,
		description: "As the gates have last counted them, without custom resources. A shard counts as soon as a gate has read its metrics.",
		queries: []query{{`sum(max by (ksmscale) (sum by (ksmscale, total_shards) (
  max by (` + perShard + `, resource) (ksmscale_gate_objects{namespace=~"$namespace", ksmscale=~"$ksmscale"})
)))`, ""}},
	},
	{
		title: "Conditions that are False", kind: states, width: 12, red: new(1.0),
		description: "Red while the condition is False. Ready is False too while a rollout or a reshard proceeds.",
		queries:     []query{{`max by (ksmscale, condition) (ksmscale_status_condition{status="false", ksmscale=~"$ksmscale"})`, "{{ksmscale}} {{condition}}"}},
	},
	{
		title: "Shards whose scrapes succeed", kind: states, width: 12, red: new(1.0), redBelow: true,
		description: "A scrape of a shard's Service leads to one of its ready pods.",
		queries:     []query{{`ksmscale:shard_up:max{ksmscale=~"$ksmscale"}`, shard}},
	},
	{
		title: "Duration of scrapes", unit: "s", width: 12,
		description: "Must stay below the scrape timeout of Prometheus.",
		queries:     []query{{`max by (instance) (scrape_duration_seconds{job="kube-state-metrics", instance=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+"})`, "{{instance}}"}},
	},
	{
		title: "Objects by resource", width: 12,
		description: "The ten resources with the most objects.",
		queries: []query{{`topk(10, max by (ksmscale, resource) (sum by (ksmscale, total_shards, resource) (
  max by (` + perShard + `, resource) (ksmscale_gate_objects{namespace=~"$namespace", ksmscale=~"$ksmscale"})
)))`, "{{ksmscale}} {{resource}}"}},
	},
}

var replicas = []panel{
	{
		title: "Nodes", width: 8,
		description: "The nodes that count for the number of replicas.",
		queries:     []query{{`max by (ksmscale) (ksmscale_nodes{ksmscale=~"$ksmscale"})`, "{{ksmscale}}"}},
	},
	{
		title: "Replicas", width: 8,
		description: "Of all shards together. During a reshard, desired and running pods are those of both partitions, and ready pods those of the new one.",
		queries: []query{
			{`sum by (ksmscale) (ksmscale:desired_replicas:max{ksmscale=~"$ksmscale"})`, "{{ksmscale}} desired"},
			{`sum by (ksmscale) (ksmscale:shard_pods:count{ksmscale=~"$ksmscale"})`, "{{ksmscale}} running"},
			{`sum by (ksmscale) (max by (` + perShard + `) (ksmscale_ready_replicas{ksmscale=~"$ksmscale"}))`, "{{ksmscale}} ready"},
		},
	},
	{
		title: "Ready pods of each shard", width: 8,
		description: "With one pod, a shard has no metrics while that pod restarts.",
		queries:     []query{{`max by (` + perShard + `) (ksmscale_ready_replicas{ksmscale=~"$ksmscale"})`, shard}},
	},
}

var sizes = []panel{
	{
		title: "Number of shards", width: 8,
		description: "The number in the spec, and the recommendation for the objects of the cluster.",
		queries: []query{
			{`max by (ksmscale) (ksmscale_configured_shards{ksmscale=~"$ksmscale"})`, "{{ksmscale}} configured"},
			{`max by (ksmscale) (ksmscale_recommended_shards{ksmscale=~"$ksmscale"})`, "{{ksmscale}} recommended"},
		},
	},
	{
		title: "Peak memory of each shard", unit: "bytes", width: 8,
		description: "The highest resident memory of a kube-state-metrics since its start, and the recommended request.",
		queries: []query{
			{`max by (` + perShard + `) (ksmscale_gate_monitor_resident_memory_max_bytes{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, shard},
			{`max by (ksmscale) (ksmscale_recommended_memory_bytes{ksmscale=~"$ksmscale"})`, "{{ksmscale}} recommended"},
		},
	},
	{
		title: "CPU of each shard", width: 8,
		description: "Cores of the replica that uses most, and the recommended request.",
		queries: []query{
			{`max by (` + perShard + `) (rate(ksmscale_gate_monitor_cpu_seconds_total{namespace=~"$namespace", ksmscale=~"$ksmscale"}[$__rate_interval]))`, shard},
			{`max by (ksmscale) (ksmscale_recommended_cpu_cores{ksmscale=~"$ksmscale"})`, "{{ksmscale}} recommended"},
		},
	},
	{
		title: "Series of each shard", width: 8,
		description: "Series of one scrape.",
		queries:     []query{{`max by (` + perShard + `) (ksmscale_gate_series{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, shard}},
	},
	{
		title: "Size of a scrape", unit: "bytes", width: 8,
		description: "Without compression. Scrapers limit this size.",
		queries:     []query{{`max by (` + perShard + `) (ksmscale_gate_exposition_bytes{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, shard}},
	},
	{
		title: "Imbalance of the shards", unit: "percentunit", width: 8,
		description: "The standard deviation of the samples of the shards, divided by their average.",
		queries:     []query{{`max by (ksmscale) (ksmscale:shard_samples:imbalance{ksmscale=~"$ksmscale"})`, "{{ksmscale}}"}},
	},
}

var gates = []panel{
	{
		title: "Time until a pod was ready", unit: "s", width: 8,
		description: "From the first answer of a kube-state-metrics until its gate opened.",
		queries:     []query{{`max by (` + perShard + `) (ksmscale_gate_sync_duration_seconds{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, shard}},
	},
	{
		title: "Gates", width: 8,
		description: "A closed gate keeps its pod out of the Service. Gates that opened by their deadline opened although objects were missing.",
		queries: []query{
			{`sum by (ksmscale) (ksmscale_gate_open{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} open"},
			{`sum by (ksmscale) (1 - ksmscale_gate_open{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} closed"},
			{`sum by (ksmscale) (ksmscale_gate_opened_by_deadline_total{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} opened by the deadline"},
		},
	},
	{
		title: "Objects that gates wait for", width: 8,
		description: "Objects that kube-state-metrics has not exposed yet since its start, and objects of other shards that it exposes.",
		queries: []query{
			{`sum by (ksmscale) (ksmscale_gate_missing_objects{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} missing"},
			{`sum by (ksmscale) (ksmscale_gate_foreign_objects{namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} of other shards"},
		},
	},
}

var autoscalers = []panel{
	{
		title: "Pods that answer", kind: number, width: 6, red: new(1.0), redBelow: true,
		description: "Controllers and adapters that Prometheus scrapes. Without an adapter, the autoscalers keep the current replicas.",
		queries: []query{
			{`sum(up{job="ksmscale-controller"})`, "controllers"},
			{`sum(up{job="ksmscale-adapter"})`, "adapters"},
		},
	},
	{
		title: "Autoscalers that do not act", kind: number, width: 6, red: new(1.0),
		description: "HorizontalPodAutoscalers whose condition AbleToScale or ScalingActive is False.",
		queries: []query{{`sum(max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_status_condition{
  namespace=~"$namespace", horizontalpodautoscaler=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+", condition=~"AbleToScale|ScalingActive", status="false"
}))`, ""}},
	},
	{
		title: "Time since a node has changed", kind: number, unit: "s", width: 6,
		description: "As controllers and adapters see it. Heartbeats of kubelets change nodes every five minutes at least.",
		queries:     []query{{`time() - min(max by (job) (ksmscale_last_node_event_timestamp_seconds))`, ""}},
	},
	{
		title: "Certificates expire in", kind: number, unit: "s", width: 6, red: new(0.0), redBelow: true,
		description: "The controller renews them long before.",
		queries:     []query{{`max by (certificate) (ksmscale_certificate_expiration_timestamp_seconds) - time()`, "{{certificate}}"}},
	},
	{
		title: "Replicas of the autoscalers", width: 12,
		description: "Desired and current replicas of each HorizontalPodAutoscaler. Nothing is shown in other modes.",
		queries: []query{
			{`kube_horizontalpodautoscaler_status_desired_replicas{namespace=~"$namespace", horizontalpodautoscaler=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+"}`, "{{horizontalpodautoscaler}} desired"},
			{`kube_horizontalpodautoscaler_status_current_replicas{namespace=~"$namespace", horizontalpodautoscaler=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+"}`, "{{horizontalpodautoscaler}} current"},
		},
	},
	{
		title: "Requests to the adapters", unit: "reqps", width: 12,
		description: "By the code of the answer. A HorizontalPodAutoscaler requests its metric every 15 seconds.",
		queries:     []query{{`sum by (code) (rate(apiserver_request_total{job="ksmscale-adapter", group="external.metrics.k8s.io"}[$__rate_interval]))`, "{{code}}"}},
	},
}

var cost = []panel{
	{
		title: "CPU of the pods", width: 8,
		description: "Cores that kube-state-metrics and the gates of all pods use, and cores that the pods request.",
		queries: []query{
			{`sum by (ksmscale, container) (rate(process_cpu_seconds_total{job="kube-state-metrics-pods", namespace=~"$namespace", ksmscale=~"$ksmscale"}[$__rate_interval]))`, "{{ksmscale}} {{container}}"},
			{`sum(kube_pod_container_resource_requests{namespace=~"$namespace", pod=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+-.+", resource="cpu"})`, "requested"},
		},
	},
	{
		title: "Memory of the pods", unit: "bytes", width: 8,
		description: "Resident memory of kube-state-metrics and of the gates of all pods, and memory that the pods request.",
		queries: []query{
			{`sum by (ksmscale, container) (process_resident_memory_bytes{job="kube-state-metrics-pods", namespace=~"$namespace", ksmscale=~"$ksmscale"})`, "{{ksmscale}} {{container}}"},
			{`sum(kube_pod_container_resource_requests{namespace=~"$namespace", pod=~"ksm-($ksmscale)-shard-[0-9]+-of-[0-9]+-.+", resource="memory"})`, "requested"},
		},
	},
	{
		title: "Samples that Prometheus stores", width: 8,
		description: "Samples per second of all shards. During a reshard Prometheus scrapes both partitions.",
		queries:     []query{{`sum by (ksmscale) (ksmscale:shard_samples:rate5m{ksmscale=~"$ksmscale"})`, "{{ksmscale}}"}},
	},
	{
		title: "CPU of KSMScale itself", width: 12,
		description: "Cores that controllers and adapters use.",
		queries:     []query{{`sum by (job) (rate(process_cpu_seconds_total{job=~"ksmscale-controller|ksmscale-adapter"}[$__rate_interval]))`, "{{job}}"}},
	},
	{
		title: "Memory of KSMScale itself", unit: "bytes", width: 12,
		description: "Resident memory of controllers and adapters.",
		queries:     []query{{`sum by (job) (process_resident_memory_bytes{job=~"ksmscale-controller|ksmscale-adapter"})`, "{{job}}"}},
	},
}
