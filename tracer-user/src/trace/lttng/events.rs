//! The events that Trace Compass and lttng-analyses use, and related ones, from the headers of
//! LTTng-modules 2.13 (`include/instrumentation/events/*.h`).

use crate::trace::lttng::AddedValue::{self, Pid, PidOfNewThread, Tid};
use crate::trace::lttng::FieldChange::{self, Name, Priority, RequestFlags};
use crate::trace::lttng::LttngEvent;

type Fields = &'static [(&'static str, FieldChange)];

const SAME: Fields = &[];
const TID: Fields = &[("pid", Name("tid"))];
const TID_PRIO: Fields = &[("pid", Name("tid")), ("prio", Priority)];
const FLAGS: Fields = &[("rwbs", RequestFlags)];
const IN_THREAD: &[(&str, AddedValue)] = &[("tid", Tid)];

/// The events by tracepoint.
pub const EVENTS: &[LttngEvent] = &[
    event("sched", "sched_kthread_stop", TID),
    event("sched", "sched_kthread_stop_ret", SAME),
    event("sched", "sched_waking", TID_PRIO),
    event("sched", "sched_wakeup", TID_PRIO),
    event("sched", "sched_wakeup_new", TID_PRIO),
    event(
        "sched",
        "sched_switch",
        &[
            ("prev_pid", Name("prev_tid")),
            ("prev_prio", Priority),
            ("next_pid", Name("next_tid")),
            ("next_prio", Priority),
        ],
    ),
    event("sched", "sched_migrate_task", TID_PRIO),
    event("sched", "sched_process_free", TID_PRIO),
    event("sched", "sched_process_exit", TID_PRIO),
    event("sched", "sched_wait_task", TID_PRIO),
    event("sched", "sched_process_wait", TID_PRIO),
    event(
        "sched",
        "sched_process_fork",
        &[
            ("parent_pid", Name("parent_tid")),
            ("child_pid", Name("child_tid")),
        ],
    )
    .with(&[
        // The parent is the current thread.
        ("parent_pid", Pid),
        ("child_pid", PidOfNewThread("child_pid")),
    ]),
    event(
        "sched",
        "sched_process_exec",
        &[("pid", Name("tid")), ("old_pid", Name("old_tid"))],
    ),
    event("sched", "sched_stat_wait", TID),
    event("sched", "sched_stat_sleep", TID),
    event("sched", "sched_stat_iowait", TID),
    event("sched", "sched_stat_blocked", TID),
    event("sched", "sched_stat_runtime", TID),
    event(
        "sched",
        "sched_pi_setprio",
        &[
            ("pid", Name("tid")),
            ("oldprio", Priority),
            ("newprio", Priority),
        ],
    ),
    LttngEvent {
        name: "task:task_newtask",
        new_thread: Some(["pid", "clone_flags"]),
        ..event("task", "task_newtask", SAME)
    },
    event("irq", "irq_handler_entry", SAME),
    event("irq", "irq_handler_exit", SAME),
    event("irq", "softirq_entry", SAME).named("irq_softirq_entry"),
    event("irq", "softirq_exit", SAME).named("irq_softirq_exit"),
    event("irq", "softirq_raise", SAME).named("irq_softirq_raise"),
    event("timer", "timer_init", SAME),
    event("timer", "timer_start", SAME),
    event("timer", "timer_expire_entry", SAME),
    event("timer", "timer_expire_exit", SAME),
    event("timer", "timer_cancel", SAME),
    event("timer", "hrtimer_init", SAME).named("timer_hrtimer_init"),
    event("timer", "hrtimer_start", SAME).named("timer_hrtimer_start"),
    event("timer", "hrtimer_expire_entry", SAME).named("timer_hrtimer_expire_entry"),
    event("timer", "hrtimer_expire_exit", SAME).named("timer_hrtimer_expire_exit"),
    event("timer", "hrtimer_cancel", SAME).named("timer_hrtimer_cancel"),
    event("timer", "itimer_state", SAME).named("timer_itimer_state"),
    event("timer", "itimer_expire", SAME).named("timer_itimer_expire"),
    event("kmem", "kmalloc", SAME).named("kmem_kmalloc"),
    event("kmem", "kfree", SAME).named("kmem_kfree"),
    event("kmem", "kmem_cache_alloc", SAME),
    event("kmem", "kmem_cache_free", SAME),
    event("kmem", "mm_page_alloc", SAME).named("kmem_mm_page_alloc"),
    event("kmem", "mm_page_alloc_extfrag", SAME).named("kmem_mm_page_alloc_extfrag"),
    event("kmem", "mm_page_alloc_zone_locked", SAME).named("kmem_mm_page_alloc_zone_locked"),
    event("kmem", "mm_page_free", SAME).named("kmem_mm_page_free"),
    event("kmem", "mm_page_free_batched", SAME).named("kmem_mm_page_free_batched"),
    event("kmem", "mm_page_pcpu_drain", SAME).named("kmem_mm_page_pcpu_drain"),
    event("block", "block_touch_buffer", SAME),
    event("block", "block_dirty_buffer", SAME),
    event("block", "block_rq_requeue", FLAGS),
    event("block", "block_rq_complete", FLAGS),
    event("block", "block_rq_insert", FLAGS).with(IN_THREAD),
    event("block", "block_rq_issue", FLAGS).with(IN_THREAD),
    event("block", "block_rq_merge", FLAGS).with(IN_THREAD),
    event("block", "block_rq_remap", FLAGS),
    event("block", "block_bio_complete", FLAGS),
    event("block", "block_bio_backmerge", FLAGS).with(IN_THREAD),
    event("block", "block_bio_frontmerge", FLAGS).with(IN_THREAD),
    event("block", "block_bio_queue", FLAGS).with(IN_THREAD),
    event("block", "block_bio_remap", FLAGS),
    event("block", "block_getrq", FLAGS).with(IN_THREAD),
    event("block", "block_plug", SAME).with(IN_THREAD),
    event("block", "block_unplug", SAME).with(IN_THREAD),
    event("block", "block_split", FLAGS).with(IN_THREAD),
    event("net", "net_dev_xmit", SAME),
    event("net", "net_dev_queue", SAME),
    event("net", "netif_receive_skb", SAME).named("net_if_receive_skb"),
    event("net", "netif_receive_skb_entry", SAME).named("net_if_receive_skb_entry"),
    event("net", "netif_receive_skb_exit", SAME).named("net_if_receive_skb_exit"),
    event("net", "netif_receive_skb_list_entry", SAME).named("net_if_receive_skb_list_entry"),
    event("net", "netif_receive_skb_list_exit", SAME).named("net_if_receive_skb_list_exit"),
    event("net", "netif_rx", SAME).named("net_if_rx"),
    event("net", "netif_rx_entry", SAME).named("net_if_rx_entry"),
    event("net", "netif_rx_exit", SAME).named("net_if_rx_exit"),
    event("net", "napi_gro_frags_entry", SAME).named("net_napi_gro_frags_entry"),
    event("net", "napi_gro_frags_exit", SAME).named("net_napi_gro_frags_exit"),
    event("net", "napi_gro_receive_entry", SAME).named("net_napi_gro_receive_entry"),
    event("net", "napi_gro_receive_exit", SAME).named("net_napi_gro_receive_exit"),
    event("writeback", "global_dirty_state", SAME).named("writeback_global_dirty_state"),
    event("writeback", "writeback_dirty_folio", SAME),
    event("writeback", "writeback_dirty_inode", SAME),
    event("writeback", "writeback_dirty_inode_start", SAME),
    event("writeback", "writeback_exec", SAME),
    event("writeback", "writeback_mark_inode_dirty", SAME),
    event("writeback", "writeback_pages_written", SAME),
    event("writeback", "writeback_queue", SAME),
    event("writeback", "writeback_queue_io", SAME),
    event("writeback", "writeback_start", SAME),
    event("writeback", "writeback_wait", SAME),
    event("writeback", "writeback_write_inode", SAME),
    event("writeback", "writeback_write_inode_start", SAME),
    event("writeback", "writeback_written", SAME),
    event("vmscan", "mm_vmscan_direct_reclaim_begin", SAME),
    event("vmscan", "mm_vmscan_direct_reclaim_end", SAME),
    event("vmscan", "mm_vmscan_kswapd_sleep", SAME),
    event("vmscan", "mm_vmscan_kswapd_wake", SAME),
    event("vmscan", "mm_vmscan_wakeup_kswapd", SAME),
    event("signal", "signal_deliver", SAME),
    event("signal", "signal_generate", SAME),
    event("power", "cpu_frequency", SAME).named("power_cpu_frequency"),
    event("power", "cpu_idle", SAME).named("power_cpu_idle"),
    event("workqueue", "workqueue_activate_work", SAME),
    event("workqueue", "workqueue_execute_end", SAME),
    event("workqueue", "workqueue_execute_start", SAME),
    event("workqueue", "workqueue_queue_work", SAME),
];

/// An event with the same name as its tracepoint.
const fn event(system: &'static str, tracepoint: &'static str, fields: Fields) -> LttngEvent {
    LttngEvent {
        system,
        tracepoint,
        name: tracepoint,
        fields,
        added: &[],
        new_thread: None,
    }
}

impl LttngEvent {
    const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    const fn with(self, added: &'static [(&'static str, AddedValue)]) -> Self {
        Self { added, ..self }
    }
}
