using System.Diagnostics;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;
using CaptionService.Client;
using CaptionService.Tests;
using NSwag;

namespace CaptionService.Api.Tests.GeneratedClient;

/// <summary>The client that is published with the product, held to the OpenAPI document and to the service.</summary>
public sealed class ClientTests(Service service, ShippedSmall shipped)
{
    private async Task<string> Document() => await service.Client.GetStringAsync("/swagger/v1/swagger.json", Service.Cancellation);

    [Fact]
    public async Task Its_types_are_those_of_the_document()
    {
        string expected = await ClientContracts.Generate(JsonNode.Parse(await Document())!), path = Path.Combine(Repository.Root, ClientContracts.File);
        if (Environment.GetEnvironmentVariable("UPDATE_CONTRACTS") == "1")
        {
            await File.WriteAllTextAsync(path, expected, Service.Cancellation);
        }
        Assert.True(expected == await File.ReadAllTextAsync(path, Service.Cancellation), $"{ClientContracts.File} is not what the document says: UPDATE_CONTRACTS=1 writes it.");
    }

    [Fact]
    public async Task It_has_every_option_of_captions()
    {
        string[] known = [.. (await OpenApiDocument.FromJsonAsync(await Document(), Service.Cancellation)).Operations.Single(o => o.Operation.OperationId == "PostCaptions").Operation.Parameters
            .Where(parameter => parameter.Kind == OpenApiParameterKind.Query).Select(parameter => parameter.Name).Except(["url"]).Order(StringComparer.Ordinal)];
        Assert.Equal(known, new CaptionRequestOptions().Parameters().Select(parameter => parameter.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Every_operation_of_its_areas_has_a_method_that_works()
    {
        await using var factory = new ServiceFactory(host =>
        {
            host.UseSetting("Datasets:Estimate", "false").UseSetting("Datasets:ImportFolders:0", AppContext.BaseDirectory);
            host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Auth:FirstKey", ServiceFactory.FirstKey);
            host.UseSetting("Feedback:Enabled", "true");
        });
        using HttpClient http = await factory.Start(ready: true);
        OpenApiDocument document = await OpenApiDocument.FromJsonAsync(await http.GetStringAsync("/swagger/v1/swagger.json", Service.Cancellation), Service.Cancellation);
        using var seen = new Succeeded(document);
        using var client = new CaptionClient(new HttpClient(seen) { BaseAddress = http.BaseAddress, Timeout = TimeSpan.FromMinutes(5), DefaultRequestHeaders = { { "X-Api-Key", ServiceFactory.FirstKey } } });

        await Tour(client);

        Assert.Equal(ClientContracts.Covered(document).Select(o => $"{o.Method} {o.Path}").Order(StringComparer.Ordinal), seen.Operations.Order(StringComparer.Ordinal));
        using var stranger = new CaptionClient(http.BaseAddress!);
        var refused = await Assert.ThrowsAsync<CaptionServiceException>(() => stranger.GetModelsAsync(Service.Cancellation));
        Assert.Equal((401, "no_key"), (refused.Status, refused.Code));
    }

    private static async Task Tour(CaptionClient client)
    {
        CancellationToken aborted = Service.Cancellation;
        // Captions and models.
        ModelResponse model = (await client.GetModelsAsync(aborted)).Models.First(m => m.Default);
        Assert.Equal(model.Digest, (await client.GetModelAsync(model.Name, aborted)).Digest);
        CaptionsResponse captions = await client.CaptionAsync([new("a.jpg", Photo()), new("b.jpg", new MemoryStream([1]))], new CaptionRequestOptions { Count = 2, Include = ["words"] }, aborted);
        Assert.Equal(("a.jpg", 2, "not_a_photo"), (captions.Results[0].Name, captions.Results[0].Captions!.Count, captions.Results[1].Problem!.Code));
        Assert.NotEmpty(captions.Results[0].Captions![0].Words!);
        Assert.Equal("de", (await Assert.ThrowsAsync<CaptionServiceException>(() => client.CaptionAsync(Photo(), new CaptionRequestOptions { Languages = ["de"] }, aborted))).Message.Split('\'')[1]);

        // A data set.
        DatasetResponse dataset = await client.UploadDatasetAsync(new MemoryStream(Made.Zip(Made.Files)), "tour", "en", aborted);
        dataset = await client.WaitForDatasetAsync(dataset.Id, aborted);
        Assert.Equal("ready", dataset.Status);
        Assert.Equal(dataset.Id, (await client.GetDatasetsAsync(limit: 1, cancellation: aborted)).Datasets.Single().Id);
        DatasetItem item = (await client.GetDatasetItemsAsync(dataset.Id, "dev", limit: 1, cancellation: aborted)).Items.Single();
        await using (Stream photo = await client.GetDatasetPhotoAsync(dataset.Id, item.Photo, aborted))
        {
            Assert.Equal(0xFF, photo.ReadByte());
        }
        Assert.Equal("folder_not_allowed", (await Assert.ThrowsAsync<CaptionServiceException>(() => client.ImportDatasetAsync("/etc", cancellation: aborted))).Code);

        // Corrections.
        FeedbackResponse correction = await client.SendFeedbackAsync(Photo(), new FeedbackTexts { Caption = "a cat on a desk", Language = "en" }, aborted);
        Assert.True(correction.PhotoKept);
        Assert.Equal("Ann", (await client.EditFeedbackAsync(correction.Id, new FeedbackTexts { Who = "Ann" }, aborted)).Who);
        Assert.Equal("a cat on a desk", (await client.GetFeedbackEntryAsync(correction.Id, aborted)).Caption);
        DatasetResponse corrected = await client.CreateDatasetFromFeedbackAsync("corrections", "en", aborted);
        Assert.Equal("corrections", corrected.Name);
        await client.WaitForDatasetAsync(corrected.Id, aborted);
        await client.DeleteDatasetAsync(corrected.Id, aborted);
        await client.DeleteFeedbackAsync(correction.Id, aborted);
        Assert.Equal(0, (await client.GetFeedbackAsync("en", cancellation: aborted)).Total);

        // Many photos.
        CaptionJobResponse many = await client.StartCaptionJobAsync(CaptionSource.Dataset(dataset.Id), new CaptionRequestOptions { Count = 1, BeamWidth = 2 }, aborted);
        CaptionJobResponse other = await client.StartCaptionJobAsync(CaptionSource.Archive(new MemoryStream(Made.Zip(Made.Files))), cancellation: aborted);
        Assert.Equal("cancelled", (await client.CancelCaptionJobAsync(other.Id, aborted)).State);        // while it waits for the first
        Assert.Equal("succeeded", (await Last(client.WatchCaptionJobAsync(many.Id, aborted))).State);
        CaptionJobResult[] results = await client.ReadCaptionJobResultsAsync(many.Id, offset: 1, aborted).ToArrayAsync(aborted);
        Assert.Equal(Enumerable.Range(2, many.Photos - 1), results.Select(result => result.Number));
        Assert.Equal(results[0].Captions![0].Text, (await client.GetCaptionJobResultsAsync(many.Id, offset: 1, limit: 1, aborted)).Results.Single().Captions!.Single().Text);
        using (var csv = new StreamReader(await client.DownloadCaptionJobResultsAsync(many.Id, aborted)))
        {
            Assert.StartsWith("number,name,", await csv.ReadLineAsync(aborted), StringComparison.Ordinal);
        }
        await client.ResumeCaptionJobAsync(other.Id, aborted);
        Assert.Equal(0, (await Last(client.WatchCaptionJobAsync(other.Id, aborted))).Problems);
        CaptionJobResponse compared = await client.CompareCaptionJobAsync(many.Id, model.Name, aborted);
        await Last(client.WatchCaptionJobAsync(compared.Id, aborted));
        Assert.Equal((many.Photos, 0), ((await client.GetCaptionJobChangesAsync(compared.Id, cancellation: aborted)).Compared, (await client.GetCaptionJobChangesAsync(compared.Id, cancellation: aborted)).Changed));
        Assert.Equal(3, (await client.GetCaptionJobsAsync(cancellation: aborted)).Total);
        Assert.Equal("succeeded", (await client.GetCaptionJobAsync(compared.Id, aborted)).State);
        await client.DeleteCaptionJobAsync(compared.Id, aborted);

        // A training job.
        Assert.Contains((await client.GetTrainingPresetsAsync(aborted)).Presets, preset => preset.Name == "best");
        var request = new TrainingJobRequest
        {
            Dataset = dataset.Id, Preset = "best", Name = "tour", Seed = 7, Budget = new TrainingBudget { Epochs = 2 },
            Options = new TrainingOptions { Architecture = "top-down", Hidden = 32, Heads = 4, Embedding = 16, BatchPhotos = 2, MinWordCount = 1, LearningRate = 0.005, Precision = "float32", Mirror = false, SelfCriticalEpochs = 0 },
        };
        TrainingJobResponse job = await client.StartTrainingAsync(request, "tour", aborted);
        Assert.Equal(job.Id, (await client.StartTrainingAsync(request, "tour", aborted)).Id);
        await client.CancelTrainingJobAsync(job.Id, aborted);
        Assert.Equal("cancelled", (await Last(client.WatchTrainingJobAsync(job.Id, aborted))).State);
        await client.ResumeTrainingJobAsync(job.Id, aborted);
        job = await Last(client.WatchTrainingJobAsync(job.Id, aborted));
        Assert.True(job.State == "succeeded", job.Error);
        Assert.Equal(job.Id, (await client.GetTrainingJobAsync(job.Id, aborted)).Id);
        Assert.Equal(job.Id, (await client.GetTrainingJobsAsync(state: "succeeded", dataset: dataset.Id, cancellation: aborted)).Jobs.Single().Id);
        Assert.Equal(job.LastEvent, (await client.GetTrainingJobEventsAsync(job.Id, limit: 1000, cancellation: aborted)).Events[^1].Id);
        Assert.Equal(2, (await client.GetTrainingJobMetricsAsync(job.Id, aborted)).Epochs.Count);
        Assert.Contains("epoch 2", await client.GetTrainingJobLogAsync(job.Id, 50, aborted), StringComparison.Ordinal);
        Assert.NotEmpty((await client.GetTrainingJobCheckpointsAsync(job.Id, aborted)).Checkpoints);

        // Its model.
        using var bundle = new MemoryStream();
        await using (Stream download = await client.DownloadModelAsync("tour", 1, aborted))
        {
            await download.CopyToAsync(bundle, aborted);
        }
        bundle.Position = 0;
        Assert.Equal(2, (await client.UploadModelAsync(bundle, aborted)).Version);
        Assert.True((await client.ActivateModelAsync("tour", 2, aborted)).Active);
        Assert.Equal(model.Name, (await client.RollbackModelAsync("tour", aborted)).Name);
        await client.DeleteModelAsync("tour", 2, aborted);
        await client.DeleteDatasetAsync(dataset.Id, aborted);
    }

    [Fact]
    public async Task The_sample_program_captions_photos_and_archives()
    {
        foreach (string sample in (string[])["samples/captions.cs", "samples/captions.html"])
        {
            Assert.InRange(Repository.Read(sample).Split('\n').Length - 1, 1, 40);
        }
        string folder = Directory.CreateTempSubdirectory("sample-").FullName, zip = Path.Combine(folder, "photos.zip");
        await File.WriteAllBytesAsync(zip, Made.Zip([("broken.jpg", [0xFF, 0xD8, 0xFF]), ("cat.jpg", Made.SmallPhotos["cat.jpg"])]), Service.Cancellation);
        string[] lines;
        try
        {
            // As its first lines say. A program of one file has no reflection in JSON, which one compiled here would have.
            lines = await DotnetRun("samples/captions.cs", "--", service.Client.BaseAddress!.ToString(), Path.Combine(AppContext.BaseDirectory, "samples", "cat.jpg"), zip);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        Assert.Equal($"cat.jpg: {await service.BestOf("cat")}", lines[0]);
        Assert.Contains(ProblemTable.BrokenPhoto.WhatToDo, lines[1], StringComparison.Ordinal);
        Assert.Matches(@"^cat\.jpg: \w.+\.$", lines[2]);
    }

    private static async Task<string[]> DotnetRun(params string[] arguments)
    {
        using Process program = Process.Start(new ProcessStartInfo("dotnet", ["run", .. arguments]) { WorkingDirectory = Repository.Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = program.StandardError.ReadToEndAsync(Service.Cancellation);
        string said = await program.StandardOutput.ReadToEndAsync(Service.Cancellation);
        await program.WaitForExitAsync(Service.Cancellation);
        Assert.True(program.ExitCode == 0, $"{said}\n{await errors}");
        return said.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static MemoryStream Photo() => new(Photos.Cat);

    private static async Task<T> Last<T>(IAsyncEnumerable<T> all) => await all.LastAsync(Service.Cancellation);
}
