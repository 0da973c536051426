using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Trainer.Job;

namespace CaptionService.Trainer.Train;

/// <summary>The <c>train</c> verb: one attempt at a job, and how it ends in events, result and exit code.</summary>
internal static class TrainingJob
{
    public static int Run(string folder, Progress progress, CancellationToken stop)
    {
        var job = JobReader.Read(Path.Combine(folder, "job.json"));
        using var fence = Fence.Enter(folder, job.Attempt, stop);
        fence.Clean();
        using var events = new EventWriter(Path.Combine(folder, "events.jsonl"), TimeProvider.System, fence);
        try
        {
            var run = new TrainingRun(folder, job, progress, events, stop);
            var card = run.Run();
            fence.Check();
            JobResult.Write(folder, new JobResult(job.Attempt, "succeeded", null, card.Digest, card.Scores));
            events.WriteOnce("succeeded", run.Steps, new { step = run.Steps, digest = card.Digest, scores = card.Scores });
            return TrainerExit.Succeeded;
        }
        catch (OperationCanceledException)
        {
            events.Write("stopped", new { reason = "asked to stop; the same command resumes" });
            throw;
        }
        catch (CollapsedException e)
        {
            return Fail("collapsed", e, TrainerExit.Collapsed);
        }
        catch (Exception e) when (e is DatasetException or ModelBundleException)
        {
            return Fail("bad_data", e, TrainerExit.BadData);
        }
        catch (Exception e) when (e is not SupersededException && !(e is IOException io && TrainerExit.IsDiskFull(io)))
        {
            Console.Error.WriteLine(e);
            return Fail("unforeseen", e, TrainerExit.Failed);
        }

        int Fail(string code, Exception e, int exit)
        {
            Console.Error.WriteLine(e.Message);
            events.Write("failed", new { code, message = e.Message });
            JobResult.Write(folder, new JobResult(job.Attempt, "failed", e.Message, null, null));
            return exit;
        }
    }
}
