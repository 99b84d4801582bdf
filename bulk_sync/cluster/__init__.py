"""The jobs of a jobs file on a Dask cluster: one job is one task.

Dask places tasks, notices dead workers and runs their tasks again. All else is as in a local run:
the task runs what `together` runs for one job, on the job's own checkpoint.

Invariants:

1. A job's rows are sent by one task at a time. A task holds the checkpoint as every push does, and
   a lease of the job at the scheduler (`leases`); one that Dask runs again elsewhere waits for both
   a bounded time, then ends with CheckpointBusy.
2. A job's state is in its checkpoint. Messages between coordinator and workers may be lost: those
   that count are repeated, the others are for the eye.
3. A task sends only while its coordinator is heard through the scheduler. Without a message for
   `LEASH_SECONDS` it ends as a push does that is stopped: requests in flight end, the rest stays
   pending. So a lost coordinator, scheduler or connection ends the sending.
4. Stopping is by message. A task is never cancelled, because that doesn't reach a thread.
5. A key is read on the worker that needs it. What crosses the network is where to find it: the name
   of a file, or a command. Both are in the argument of a task, which is bytes to Dask, so that its
   dashboard and logs show neither.
6. Coordinator, scheduler and workers have one version of bulk-sync, or nothing begins; a worker of
   another version that comes later runs no job.
7. Permits of a key come from one place: the scheduler's plugin (`desk`) for workers on any host,
   the file of this host for a cluster on this machine.
8. Every job has a result, also when its worker or the scheduler is gone.

`connect` opens the way to a cluster and compares versions, `coordinator` hands out the jobs,
`again` decides which it hands out once more, and `recorded` looks up what is known of one that is
out of reach. `crew` is the side of a worker, `messages` has what they exchange. `local` is a
cluster on this machine, in a process of its own. `probe` tries what a cluster's folders can do.
`plugin` keeps `desk` and `leases` at the scheduler, and `remote` is a worker's side of them.
"""
