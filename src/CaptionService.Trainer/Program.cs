using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using CaptionService.Captioning.Files;
using CaptionService.Captioning.Jobs;
using CaptionService.Captioning.Language;
using CaptionService.Captioning.Models;
using CaptionService.Captioning.Torch;

namespace CaptionService.Trainer;

/// <summary>The trainer: <c>train FOLDER</c>, <c>evaluate MODEL DATASET</c>, <c>calibrate MODEL DATASET</c> and <c>inspect FOLDER</c>.</summary>
public static class Program
{
    private const string Usage = """
        CaptionService.Trainer train FOLDER [--attached]
            Trains as FOLDER/job.json says and leaves the model in FOLDER/model. The same command again resumes.
            --attached: also save and stop when standard input closes (a server that started this program is gone).
        CaptionService.Trainer evaluate MODEL JOB.json [--split train|dev] [--beam N] [--length-normalization A] [--no-repeat N] [--ranking consensus|likelihood] [--count N] [--diversity D] [--output RESULT.json] [--attached]
            Scores a model bundle on a split of the data set that the job file names.
            --ranking: of a photo's hypotheses; consensus, as the service does, unless it says otherwise.
            --count: also how so many captions of a photo differ; --diversity: searched in as many groups.
            --output: the scores, and each photo's caption with its CIDEr, as a file.
        CaptionService.Trainer calibrate MODEL JOB.json [--out FOLDER] [--svg FILE] [--int8]
            Fits the ranking of a model bundle's captions to the training split that the job file names, their confidence to the development split, and saves the bundle again.
            --out: into another folder. --svg: also draws the reliability diagram. --int8: first stores the decoder's matrices as int8, half the size.
        CaptionService.Trainer inspect FOLDER [--attached] [--language L] [--no-estimate]
            Looks through a data set in its canonical form and writes FOLDER/report.json.
            Takes broken photos out of the splits, and out of training what dev or test has too.
        """;

    /// <summary>Runs a verb; see <see cref="TrainerExit"/> for what comes back.</summary>
    public static int Main(string[] args)
    {
        if (args is not ["inspect", ..])        // which loads libtorch only to measure
            TorchRuntime.Configure();
        using var stop = new CancellationTokenSource();
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        var progress = new Progress(Console.Error, !Console.IsErrorRedirected);
        try
        {
            return args switch
            {
                ["train", var folder] => Train(folder, progress, stop.Token),
                ["train", var folder, "--attached"] => Train(folder, progress, Attached(stop)),
                ["evaluate", var model, var job, .. var rest, "--attached"] => Evaluation.Run(model, job, rest, progress, Attached(stop)),
                ["evaluate", var model, var job, .. var rest] => Evaluation.Run(model, job, rest, progress, stop.Token),
                ["calibrate", var model, var job, .. var rest] => Calibrator.Run(model, job, rest, progress, stop.Token),
                ["inspect", var folder, .. var rest] => Inspection.Inspect.Run(folder, rest, progress, rest.Contains("--attached") ? Attached(stop) : stop.Token),
                _ => throw new ValidationException(Usage),
            };
        }
        catch (Exception e) when (e is ValidationException or JsonException)
        {
            Say(e.Message);
            return TrainerExit.BadJob;
        }
        catch (Exception e) when (e is DatasetException or ModelBundleException)
        {
            Say(e.Message);
            return TrainerExit.BadData;
        }
        catch (OperationCanceledException)
        {
            Say("Stopped.");
            return TrainerExit.Stopped;
        }
        catch (SupersededException e)
        {
            Say(e.Message);
            return TrainerExit.Superseded;
        }
        catch (IOException e) when (TrainerExit.IsDiskFull(e))
        {
            Say($"The disk is full: {e.Message}");
            return TrainerExit.DiskFull;
        }
    }

    /// <summary>A last word; where it goes may be on the disk that is full.</summary>
    private static void Say(string line)
    {
        try
        {
            Console.Error.WriteLine(line);
        }
        catch (IOException)
        {
            // The exit code says it too.
        }
    }

    private static int Train(string folder, Progress progress, CancellationToken stop)
    {
        string file = Path.Combine(folder, "job.json");
        var job = ReadJob(file);
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

    /// <summary>The job, checked as far as that is possible without its data.</summary>
    /// <exception cref="JsonException">The file is no job.</exception>
    /// <exception cref="ValidationException">There is no file, or something in it is out of range.</exception>
    internal static JobFile ReadJob(string file)
    {
        if (!File.Exists(file))
            throw new ValidationException($"There is no '{file}'.");
        byte[] json = File.ReadAllBytes(file);
        var job = JsonSerializer.Deserialize<JobFile>(json, JobFile.Json) ?? throw new ValidationException($"'{file}' is null.");
        if (job.Preset is { } name)
        {
            var preset = TrainingPreset.All.FirstOrDefault(p => p.Name == name)
                ?? throw new ValidationException($"preset is '{name}'; it must be {string.Join(", ", TrainingPreset.All.Select(p => p.Name))}.");
            var options = JsonSerializer.SerializeToNode(preset.Options, JobFile.Json)!.AsObject();
            foreach (var (option, value) in JsonNode.Parse(json)!["options"]?.AsObject() ?? [])
                options[option] = value?.DeepClone();
            job = job with { Options = options.Deserialize<TrainingOptions>(JobFile.Json)! };
        }
        job.Options.Check(job.BaseModel is not null);
        if (job.Data.Count == 0)
            throw new ValidationException("data names no source: it must name photos, captions, train and dev.");
        foreach (var data in job.Companions.Select(c => c.Data).OfType<IReadOnlyList<DataSource>>().Append(job.Data))
        {
            if (!data.Any(source => source.Dev is not null && source.Trust != DataSource.ModelWritten))
                throw new ValidationException("dev is missing: a source whose captions people wrote must name the photos to choose by.");
        }
        foreach (var source in job.Companions.SelectMany(c => c.Data ?? []).Concat(job.Data))
            source.Check();
        if (job.Adapter is not null && job.Options.EncoderRank > 0)
            throw new ValidationException("adapter takes over a model's change of the encoder as it is: encoderRank must be 0.");
        if (job.Version < 1)
            throw new ValidationException($"version is {job.Version}; it must be 1 or more.");
        foreach (var (model, language) in job.Companions.Select(c => (c.Name, c.Language)).Prepend((job.Name, job.Language)))
        {
            try
            {
                ModelCard.CheckName(model);
                ModelCard.CheckLanguage(language);
            }
            catch (ModelBundleException e)
            {
                throw new ValidationException(e.Message, e);    // now, not after the training
            }
        }
        CheckCompanions(job);
        if (job.Teachers is { Share: not (>= 0 and <= 1) })
            throw new ValidationException($"The teachers' share is {job.Teachers.Share}; it must be 0 to 1.");
        if (job.Teachers is { Models.Count: 0 })
            throw new ValidationException("teachers names no models; leave it out.");
        return job;
    }

    private static void CheckCompanions(JobFile job)
    {
        for (int i = 0; i < job.Companions.Count; i++)
        {
            string language = job.Companions[i].Language;
            if (job.Companions[i].Data is null && (job.Companions[i].Captions is null || job.Data.Count > 1))
                throw new ValidationException($"The companion '{language}' must name its captions, or, where the job has several sources, a data of its own.");
            if (job.Companions.Take(i).Select(c => c.Language).Append(job.Language).Any(other => Tokenizer.SameLanguage(other, language)))
                throw new ValidationException($"Two of the job's languages are '{language}'; each is learnt once.");
        }
        if (job.Companions.Count > 0 && job.BaseModel is not null)
            throw new ValidationException("companions do not go with baseModel, which knows one language: leave one of the two out.");
        if (job.Companions.Count > 0 && job.Teachers is not null)
            throw new ValidationException("companions do not go with teachers, who know one language: leave one of the two out.");
        if (job.Companions.Count > 0 && job.Options.Architecture != "top-down")
            throw new ValidationException($"companions need the architecture top-down; '{job.Options.Architecture}' cannot share its weights.");
    }

    /// <summary>A token that also ends when standard input does.</summary>
    private static CancellationToken Attached(CancellationTokenSource stop)
    {
        new Thread(() =>
        {
            while (Console.In.Read() >= 0) { }
            stop.Cancel();
        })
        { IsBackground = true, Name = "standard input" }.Start();
        return stop.Token;
    }
}
