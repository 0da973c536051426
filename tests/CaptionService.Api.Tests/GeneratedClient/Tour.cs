// Compiled by GeneratedClientTests together with the client that NSwag makes of the OpenAPI document: what a caller's
// program looks like, checked by the compiler against that document and by the service against its own.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace Generated;

public static class Tour
{
    /// <summary>Uses every operation once, successfully.</summary>
    /// <param name="http">Knows the service's address.</param>
    /// <param name="photo">A JPEG.</param>
    /// <param name="archive">A zip of photos with captions.</param>
    /// <param name="aborted">Ends it.</param>
    public static async Task Make(HttpClient http, byte[] photo, byte[] archive, CancellationToken aborted)
    {
        var client = new CaptionClient(http);
        Assert.Equal("live", (await client.GetLiveAsync(aborted)).Status);
        Assert.Equal("ready", (await client.GetReadyAsync(aborted)).Status);

        // Models and captions.
        ModelResponse shipped = (await client.GetModelsAsync(aborted)).Models.First(model => model.Default);
        Assert.Equal(shipped.Digest, (await client.GetModelAsync(shipped.Name, aborted)).Digest);
        CaptionsResponse captions = await client.PostCaptionsAsync(count: 2, include: [CaptionInclude.Words], photo: [new FileParameter(new MemoryStream(photo), "a.jpg", "image/jpeg"), new FileParameter(new MemoryStream(photo), "b.jpg")], cancellationToken: aborted);
        Assert.Equal(["a.jpg", "b.jpg"], captions.Results.Select(result => result.Name));
        Assert.All(captions.Results, result => Assert.Equal(2, result.Captions!.Count));
        RankedCaption best = captions.Results.First().Captions!.First();
        Assert.NotEmpty(best.Text);
        Assert.NotEmpty(best.Words!);

        // A refusal comes as the problem it is.
        var refused = await Assert.ThrowsAsync<ApiException<ProblemDetails>>(() => client.PostCaptionsAsync(model: "nobody", photo: [new FileParameter(new MemoryStream(photo))], cancellationToken: aborted));
        Assert.Equal((404, ProblemDetailsCode.Model_not_found), (refused.StatusCode, refused.Result.Code));
        Assert.Equal(refused.Result.Title, (await client.GetProblemAsync("model_not_found", aborted)).Title);

        // A correction, kept, edited and deleted.
        FeedbackResponse correction = await client.PostFeedbackAsync(photo: new FileParameter(new MemoryStream(photo), "a.jpg", "image/jpeg"), caption: "A cat.", given: best.Text, language: "en", cancellationToken: aborted);
        Assert.True(correction.PhotoKept);
        Assert.Equal(correction.Id, (await client.GetFeedbackAsync(cancellationToken: aborted)).Feedback.Single().Id);
        Assert.Equal("A striped cat.", (await client.PatchFeedbackAsync(correction.Id, new FeedbackTexts { Caption = "A striped cat." }, aborted)).Caption);
        Assert.Equal(best.Text, (await client.GetFeedbackEntryAsync(correction.Id, aborted)).Given);
        await client.DeleteFeedbackAsync(correction.Id, aborted);

        // A data set.
        DatasetResponse dataset = await client.PostDatasetAsync(new FileParameter(new MemoryStream(archive), "set.zip"), name: "tour", cancellationToken: aborted);
        Assert.Null(dataset.Report);
        while (dataset.Status == "checking")
        {
            await Task.Delay(100, aborted);
            dataset = await client.GetDatasetAsync(dataset.Id, aborted);
        }
        Assert.Equal("ready", dataset.Status);
        Assert.Equal(dataset.Photos, dataset.Report!.Photos.Usable);
        Assert.Equal(dataset.Id, (await client.GetDatasetsAsync(cancellationToken: aborted)).Datasets.Single().Id);
        Assert.Equal(dataset.DevPhotos, (await client.GetDatasetItemsAsync(dataset.Id, Split.Dev, limit: 100, cancellationToken: aborted)).Items.Count);

        string firstPhoto = (await client.GetDatasetItemsAsync(dataset.Id, limit: 1, cancellationToken: aborted)).Items.Single().Photo;
        using (FileResponse file = await client.GetDatasetPhotoAsync(dataset.Id, firstPhoto, aborted))
        {
            Assert.Equal(0xFF, file.Stream.ReadByte());      // JPEG
        }

        // Many photos at once: of the data set, and of an archive.
        CaptionJobResponse many = await client.PostCaptionJobAsync(count: 1, dataset: dataset.Id, cancellationToken: aborted);
        CaptionJobResponse other = await client.PostCaptionJobAsync(archive: new FileParameter(new MemoryStream(archive), "photos.zip"), beamWidth: 2, count: 2, cancellationToken: aborted);
        Assert.Equal("cancelled", (await client.CancelCaptionJobAsync(other.Id, aborted)).State);       // while it waits for the first
        while ((many = await client.GetCaptionJobAsync(many.Id, aborted)).State != "succeeded")
        {
            Assert.True(many.State is "queued" or "running", many.Error);
            await Task.Delay(100, aborted);
        }
        CaptionJobResultsResponse results = await client.GetCaptionJobResultsAsync(many.Id, offset: 1, limit: 2, cancellationToken: aborted);
        Assert.Equal([2, 3], results.Results.Select(result => result.Number));
        Assert.NotEmpty(results.Results.First().Captions!.Single().Text);
        using (FileResponse stream = await client.GetCaptionJobEventsAsync(many.Id, cancellationToken: aborted))
        {
            Assert.Contains("event: job", await new StreamReader(stream.Stream).ReadToEndAsync(aborted), StringComparison.Ordinal);
        }
        await client.ResumeCaptionJobAsync(other.Id, aborted);
        while ((other = await client.GetCaptionJobAsync(other.Id, aborted)).State != "succeeded")
        {
            await Task.Delay(100, aborted);
        }
        CaptionJobResponse compared = await client.CompareCaptionJobAsync(other.Id, new CaptionComparisonRequest { Model = shipped.Name }, aborted);
        while ((await client.GetCaptionJobAsync(compared.Id, aborted)).State != "succeeded")
        {
            await Task.Delay(100, aborted);
        }
        CaptionChangesResponse changes = await client.GetCaptionJobChangesAsync(compared.Id, cancellationToken: aborted);
        Assert.Equal((other.Photos, 0), (changes.Compared, changes.Changed));       // with the same model
        Assert.Equal(3, (await client.GetCaptionJobsAsync(cancellationToken: aborted)).Total);
        await client.DeleteCaptionJobAsync(compared.Id, aborted);

        // A job, cancelled and resumed.
        Assert.Contains((await client.GetTrainingPresetsAsync(aborted)).Presets, preset => preset.Name == "best");
        var request = new TrainingJobRequest
        {
            Datasets = [new() { Id = dataset.Id, Weight = 2 }],      // one would be Dataset = dataset.Id
            Preset = TrainingJobRequestPreset.Best,
            Name = "tour",
            Seed = 7,
            Budget = new Budget { Epochs = 2 },
            Options = new Options { Architecture = OptionsArchitecture.TopDown, Hidden = 32, Heads = 4, Embedding = 16, BatchPhotos = 2, MinWordCount = 1, LearningRate = 0.005, Precision = OptionsPrecision.Float32, Mirror = false, SelfCriticalEpochs = 0 },
        };
        TrainingJobResponse job = await client.CreateTrainingJobAsync(request, "tour", aborted);
        Assert.Equal(job.Id, (await client.CreateTrainingJobAsync(request, "tour", aborted)).Id);
        Assert.Equal((dataset.Id, dataset.Id, 2, "human"), (job.Dataset, job.Datasets.Single().Id, job.Datasets.Single().Weight, job.Datasets.Single().Trust));
        await client.CancelTrainingJobAsync(job.Id, aborted);
        await Until("cancelled");
        await client.ResumeTrainingJobAsync(job.Id, aborted);
        await Until("succeeded");
        Assert.Equal(("tour", 1), (job.Model!.Name, job.Model.Version));
        Assert.Equal(job.Id, (await client.GetTrainingJobsAsync(state: "succeeded", cancellationToken: aborted)).Jobs.Single().Id);
        TrainingEventsResponse events = await client.GetTrainingJobEventsAsync(job.Id, limit: 1000, cancellationToken: aborted);
        Assert.Equal(Enumerable.Range(1, (int)job.LastEvent).Select(number => (long)number), events.Events.Select(e => e.Id));
        Assert.Null(events.Next);
        Assert.Equal([1, 2], (await client.GetTrainingJobMetricsAsync(job.Id, aborted)).Epochs.Select(epoch => epoch.Epoch));
        Assert.Contains("epoch 2", await client.GetTrainingJobLogAsync(job.Id, lines: 50, cancellationToken: aborted), StringComparison.Ordinal);
        Assert.Contains((await client.GetTrainingJobCheckpointsAsync(job.Id, aborted)).Checkpoints, file => file.Kind == "latest");

        // Its model: scored, compared, downloaded, uploaded, put into service and taken out of it.
        EvaluationResponse evaluation = await Done(await client.PostEvaluationAsync(new EvaluationRequest { Model = "tour@1", Dataset = dataset.Id }, aborted));
        Assert.Equal(dataset.DevPhotos, evaluation.Result!.Photos);
        EvaluationResponse comparison = await Done(await client.CompareModelsAsync(new ComparisonRequest { Models = [$"{shipped.Name}@{shipped.Version}", "tour@1"], Dataset = dataset.Id }, aborted));
        Assert.NotEmpty(comparison.Comparison!.Sentence);
        Assert.Equal(2, (await client.GetEvaluationsAsync(cancellationToken: aborted)).Total);
        using var bundle = new MemoryStream();
        using (FileResponse download = await client.DownloadModelAsync("tour", 1, aborted))
        {
            await download.Stream.CopyToAsync(bundle, aborted);
        }
        bundle.Position = 0;
        ModelVersionResponse copy = await client.PostModelAsync(new FileParameter(bundle, "tour.zip", "application/zip"), aborted);
        Assert.Equal(2, copy.Version);
        Assert.True((await client.ActivateModelAsync("tour", 2, aborted)).Active);
        Assert.Equal("tour", (await client.GetModelsAsync(aborted)).Models.Single(model => model.Default).Name);
        Assert.Equal(shipped.Name, (await client.RollbackModelAsync("tour", aborted)).Name);

        // A key, shown once.
        NewKeyResponse key = await client.PostKeyAsync(new NewKey { Name = "tour", Scope = "caption", Days = 1 }, aborted);
        Assert.StartsWith(key.Made.Prefix, key.Key, StringComparison.Ordinal);
        Assert.Equal(key.Made.Id, (await client.GetKeysAsync(cancellationToken: aborted)).Keys.Single().Id);
        await client.DeleteKeyAsync(key.Made.Id, aborted);
        Assert.Equal("DeleteKey", (await client.GetAuditAsync(cancellationToken: aborted)).Entries.First().Action);

        // What is left goes.
        await client.DeleteModelAsync("tour", 2, aborted);
        await client.DeleteDatasetAsync(dataset.Id, aborted);
        Assert.Empty((await client.GetDatasetsAsync(cancellationToken: aborted)).Datasets);

        async Task Until(string state)
        {
            while ((job = await client.GetTrainingJobAsync(job.Id, aborted)).State != state)
            {
                Assert.False(job.State == "failed", job.Error);
                await Task.Delay(100, aborted);
            }
        }

        async Task<EvaluationResponse> Done(EvaluationResponse asked)
        {
            while (asked.State is "queued" or "running")
            {
                await Task.Delay(100, aborted);
                asked = await client.GetEvaluationAsync(asked.Id, aborted);
            }
            Assert.True(asked.State == "succeeded", asked.Error);
            return asked;
        }
    }
}
