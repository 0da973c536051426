using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using CaptionService.Api.Datasets;
using CaptionService.Api.Storage;
using Microsoft.AspNetCore.Hosting;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>The life of a data set, from the upload to the end.</summary>
public sealed class DatasetsTests(DatasetService service)
{
    [Theory]
    [InlineData("zip")]
    [InlineData("tar")]
    [InlineData("tar.gz")]
    public async Task An_archive_becomes_a_data_set_that_is_ready_listed_and_deleted(string kind)
    {
        byte[] archive = kind switch { "zip" => Made.Zip(Made.Files), "tar" => Made.Tar(Made.Files), _ => Made.Gzip(Made.Tar(Made.Files)) };

        Answer created = await service.Send(archive, $"holiday.{kind}");

        Assert.Equal(201, created.Status);
        string id = (string)created.Body["id"]!;
        Assert.Equal($"/datasets/{id}", created.Headers.Location?.ToString());
        Assert.Equal(("holiday", "en", "checking"), ((string?)created.Body["name"], (string?)created.Body["language"], (string?)created.Body["status"]));

        JsonNode dataset = await service.Checked(created);
        Assert.True((string?)dataset["status"] == "ready", dataset.ToJsonString());
        Assert.Equal((6, 12, 5, 1), ((int)dataset["photos"]!, (int)dataset["captions"]!, (int)dataset["trainPhotos"]!, (int)dataset["devPhotos"]!));
        Assert.InRange((long)dataset["bytes"]!, 5_000, 500_000);
        Assert.Equal("warning", (string?)dataset["report"]!["verdict"]);
        Assert.StartsWith("Ready, with ", (string)dataset["report"]!["summary"]!, StringComparison.Ordinal);

        JsonNode listed = (await Answer.Get(service.Client, "/datasets?limit=200")).Body["datasets"]!.AsArray().Single(one => (string?)one!["id"] == id)!;
        Assert.Null(listed["report"]);
        Assert.Equal(204, await service.Delete(id));
        Assert.Equal(404, await service.Delete(id));
        (await Answer.Get(service.Client, $"/datasets/{id}")).IsProblem(404, "dataset_not_found");
        Assert.DoesNotContain(service.Left, path => path.Contains(id, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Captions_may_be_a_file_of_their_own()
    {
        Answer created = await service.Send(
            [("captions", "captions.csv", Encoding.UTF8.GetBytes("image,caption\n" + string.Concat(Photos.SampleNames.Select(name => $"{name}.jpg,ein Foto von dem Ding\n")))),
             ("archive", "photos.zip", Made.Zip(Made.SmallPhotos.Select(photo => (photo.Key, photo.Value))))],
            ("name", "Ding"), ("language", "de"));

        JsonNode dataset = await service.Checked(created);

        Assert.Equal(("Ding", "de", "table"), ((string?)dataset["name"], (string?)dataset["language"], (string?)dataset["report"]!["format"]));
        Assert.Equal("ready", (string?)dataset["status"]);
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Errors_refuse_it_and_say_why()
    {
        JsonNode dataset = await service.Checked(await service.Send(Made.Zip([("a.jpg", [0xFF, 0xD8, 0xFF, 0xE0, 1, 2]), ("captions.txt", "a.jpg#0\ta dog\n"u8.ToArray())])));

        Assert.Equal("refused", (string?)dataset["status"]);
        Assert.Equal("error", (string?)dataset["report"]!["verdict"]);
        Assert.NotEmpty((string)dataset["problem"]!);
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Its_photos_are_served_as_they_came_and_nothing_else_is()
    {
        JsonNode dataset = await service.Checked(await service.Send(Made.Zip(Made.Files)));
        string photos = $"/datasets/{dataset["id"]}/photos/";
        string name = (string)(await Answer.Get(service.Client, $"/datasets/{dataset["id"]}/items?limit=1")).Body["items"]![0]!["photo"]!;

        using HttpResponseMessage photo = await service.Client.GetAsync(photos + name, Service.Cancellation);
        Assert.Equal(("image/jpeg", "nosniff"), (photo.Content.Headers.ContentType?.MediaType, photo.Headers.GetValues("X-Content-Type-Options").Single()));
        Assert.Equal(Made.SmallPhotos[name], await photo.Content.ReadAsByteArrayAsync(Service.Cancellation));

        foreach (string other in (string[])["none.jpg", "..%2fcaptions.token.txt", "%2fetc%2fpasswd"])
        {
            Assert.Contains((await Answer.Get(service.Client, photos + other)).Status, (int[])[400, 404]);
        }
        (await Answer.Get(service.Client, photos + "none.jpg")).IsProblem(404, "photo_not_found");
        (await Answer.Get(service.Client, "/datasets/none/photos/" + name)).IsProblem(404, "dataset_not_found");
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Items_come_in_pages_and_by_split()
    {
        string tokens = Made.Tokens + "extra.jpg#0\ta photo that is broken\n";
        JsonNode dataset = await service.Checked(await service.Send(Made.Zip(
            [.. Made.SmallPhotos.Select(p => (p.Key, p.Value)), ("extra.jpg", [0xFF, 0xD8, 0xFF, 0]), ("captions.txt", Encoding.UTF8.GetBytes(tokens)),
             ("train.txt", "astronaut.jpg\ncat.jpg\ncoffee.jpg\nextra.jpg\n"u8.ToArray()), ("val.txt", "flower.jpg\nrocket.jpg\ntemple.jpg\n"u8.ToArray())])));
        string items = $"/datasets/{dataset["id"]}/items";

        JsonNode all = (await Answer.Get(service.Client, items)).Body;
        Assert.Equal((7, 0), ((int)all["total"]!, (int)all["offset"]!));
        Assert.Equal(["astronaut.jpg train", "cat.jpg train", "coffee.jpg train", "flower.jpg dev", "rocket.jpg dev", "temple.jpg dev", "extra.jpg none"],
            all["items"]!.AsArray().Select(item => $"{item!["photo"]} {item["split"]}"));
        Assert.Equal(["a photo of the cat that is here", "here is a photo of a cat"], all["items"]![1]!["captions"]!.AsArray().Select(caption => (string?)caption));

        JsonNode page = (await Answer.Get(service.Client, items + "?offset=1&limit=1&split=dev")).Body;
        Assert.Equal((3, 1, "rocket.jpg"), ((int)page["total"]!, (int)page["offset"]!, (string?)Assert.Single(page["items"]!.AsArray())!["photo"]));
        Assert.Empty((await Answer.Get(service.Client, items + "?offset=7")).Body["items"]!.AsArray());
        Assert.Equal(1, (int)(await Answer.Get(service.Client, items + "?split=none")).Body["total"]!);

        foreach (string wrong in (string[])["?limit=0", "?limit=201", "?offset=-1", "?offset=x", "?split=val"])
        {
            (await Answer.Get(service.Client, items + wrong)).IsProblem(400, "invalid_option");
        }
        (await Answer.Get(service.Client, "/datasets/aaaaaaaaaaaa/items")).IsProblem(404, "dataset_not_found");
        (await Answer.Get(service.Client, "/datasets/..%2f..%2fjobs")).IsProblem(404, "dataset_not_found");
        await service.Delete((string)dataset["id"]!);
    }

    [Fact]
    public async Task Lists_come_in_pages_the_newest_first()
    {
        List<string> ids = [];
        for (int i = 0; i < 3; i++)
        {
            ids.Add((string)(await service.Send(Made.Zip(Made.Files), fields: ("name", $"page {i}"))).Body["id"]!);
        }

        JsonNode first = (await Answer.Get(service.Client, "/datasets?limit=2")).Body, second = (await Answer.Get(service.Client, "/datasets?offset=2&limit=1")).Body;

        Assert.Equal(["page 2", "page 1"], first["datasets"]!.AsArray().Select(dataset => (string?)dataset!["name"]));
        Assert.Equal("page 0", (string?)second["datasets"]![0]!["name"]);
        Assert.True((int)first["total"]! >= 3);
        (await Answer.Get(service.Client, "/datasets?limit=many")).IsProblem(400, "invalid_option");
        foreach (string id in ids)
        {
            await service.Delete(id);
        }
    }

    [Fact]
    public async Task What_a_job_uses_is_not_deleted()
    {
        string id = (string)(await service.Send(Made.Zip(Made.Files))).Body["id"]!;
        var databases = service.Factory.Services.GetRequiredService<IDbContextFactory<CaptionDb>>();
        await using CaptionDb db = await databases.CreateDbContextAsync(Service.Cancellation);
        var job = new TrainingJob { Id = Ids.New(), Name = "job", DatasetId = id, Preset = "quick", Seed = 1, Options = "{}", CreatedAt = DateTimeOffset.UnixEpoch };
        // Another server's, or this one would begin it as soon as the data set is ready.
        job.Queue(DateTimeOffset.UnixEpoch);
        job.Claim("another", DateTimeOffset.MaxValue, DateTimeOffset.UnixEpoch);
        db.TrainingJobs.Add(job);
        await db.SaveChangesAsync(Service.Cancellation);

        using (HttpResponseMessage response = await service.Client.DeleteAsync($"/datasets/{id}", Service.Cancellation))
        {
            Assert.Contains(job.Id, (string)(await Answer.Read(response)).IsProblem(409, "dataset_in_use").Body["detail"]!, StringComparison.Ordinal);
        }
        db.TrainingJobs.Remove(job);
        await db.SaveChangesAsync(Service.Cancellation);
        Assert.Equal(204, await service.Delete(id));
    }

    [Fact]
    public async Task A_data_set_can_be_deleted_while_it_is_checked()
    {
        Answer created = await service.Send(Made.Zip(Made.Files));
        Assert.Equal(204, await service.Delete((string)created.Body["id"]!));

        // The next one has its turn.
        string next = (string)(await service.Checked(await service.Send(Made.Zip(Made.Files))))["id"]!;
        await service.Delete(next);
        Assert.DoesNotContain(service.Left, path => path.Contains((string)created.Body["id"]!, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Wrong_forms_are_named()
    {
        byte[] archive = Made.Zip(Made.Files);
        (await service.Send([], ("name", "empty"))).IsProblem(400, "no_archive");
        Assert.Contains("'colour'", (string)(await service.Send(archive, fields: ("colour", "red"))).IsProblem(400, "invalid_option").Body["detail"]!, StringComparison.Ordinal);
        Assert.Contains("twice", (string)(await service.Send(archive, fields: [("name", "a"), ("name", "b")])).IsProblem(400, "invalid_option").Body["detail"]!, StringComparison.Ordinal);
        (await service.Send(archive, fields: ("language", "../../de"))).IsProblem(400, "invalid_option");
        (await Answer.To(service.Client, "/datasets", Service.Bytes(archive, "application/zip"))).IsProblem(415, "unsupported_media_type");
        // The inspection of a data set that another test has deleted may still be at work.
        Assert.DoesNotContain(Directory.GetFileSystemEntries(Path.Combine(service.Factory.Storage, "tmp")), path => !path.EndsWith(".inspect.log", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_an_earlier_server_was_interrupted_in_is_taken_up()
    {
        await using var factory = new ServiceFactory(Without);
        string datasets = Path.Combine(factory.Storage, "datasets"), unknown = Path.Combine(datasets, Ids.New()), id = Ids.New();
        Directory.CreateDirectory(unknown);

        // As it is when the server stops between the answer and the inspection.
        string canonical = Path.Combine(datasets, id);
        var raw = new RawFiles();
        string files = Directory.CreateTempSubdirectory("raw-").FullName;
        new Unpacker(files, new DatasetsOptions(), raw).Unpack(await Written(Path.Combine(files, "set.zip"), Made.Zip(Made.Files)), "set.zip", Service.Cancellation);
        await new CanonicalForm(raw, "en", new DatasetsOptions()).Write(canonical, Service.Cancellation);
        Directory.Delete(files, recursive: true);
        await using (CaptionDb db = Databases.Open([], factory.Storage))
        {
            await db.Database.MigrateAsync(Service.Cancellation);
            db.Datasets.Add(new Dataset { Id = id, Name = "left", Language = "en", Status = DatasetStatus.Checking, CreatedAt = DateTimeOffset.UnixEpoch });
            await db.SaveChangesAsync(Service.Cancellation);
        }

        using HttpClient again = await factory.Start(ready: false);
        JsonNode dataset;
        do
        {
            await Task.Delay(50, Service.Cancellation);
            dataset = (await Answer.Get(again, $"/datasets/{id}")).Body;
        }
        while ((string?)dataset["status"] == "checking");
        Assert.Equal(("ready", 6), ((string?)dataset["status"], (int)dataset["photos"]!));
        Assert.True(Directory.Exists(unknown));     // another database may know it
    }

    [Fact]
    public async Task A_large_upload_goes_to_the_disk_not_into_memory()
    {
        const int MegaBytes = 300;
        GC.Collect();
        long before = GC.GetTotalMemory(forceFullCollection: true), most = before;
        using var done = new CancellationTokenSource();
        Task watch = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: false));
                await Task.Delay(20, CancellationToken.None);
            }
        }, CancellationToken.None);

        var form = new MultipartFormDataContent { { new GeneratedTar(MegaBytes), "archive", "large.tar" } };
        Answer created = await Answer.To(service.Client, "/datasets", form);
        await done.CancelAsync();
        await watch;

        Assert.True(created.Status == 201, created.Body.ToJsonString());
        Assert.InRange(most - before, 0, 100_000_000);
        await service.Delete((string)created.Body["id"]!);
    }

    [Fact]
    public async Task An_upload_beyond_the_limit_is_refused_however_it_comes()
    {
        await using var factory = new ServiceFactory(host =>
        {
            Without(host);
            host.UseSetting("Datasets:MaxUploadBytes", "1000000");
        });
        using HttpClient client = await factory.Start(ready: false);
        foreach (bool chunked in (bool[])[false, true])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/datasets") { Content = new MultipartFormDataContent { { new ByteArrayContent(new byte[2_000_000]), "archive", "set.zip" } } };
            request.Headers.TransferEncodingChunked = chunked;
            request.Headers.ExpectContinue = true;
            using HttpResponseMessage response = await client.SendAsync(request, Service.Cancellation);
            (await Answer.Read(response)).IsProblem(413, "body_too_large");
        }
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(factory.Storage, "tmp")));
    }

    private static void Without(IWebHostBuilder host)
    {
        host.UseSetting("Datasets:Estimate", "false");
        ServiceFactory.WithoutModels(host);
    }

    private static async Task<string> Written(string path, byte[] bytes)
    {
        await File.WriteAllBytesAsync(path, bytes, Service.Cancellation);
        return path;
    }

    /// <summary>A tar of photos that are none, made as it is sent.</summary>
    private sealed class GeneratedTar(int megaBytes) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            byte[] photo = new byte[1_000_000];
            new Random(1).NextBytes(photo);
            new byte[] { 0xFF, 0xD8, 0xFF, 0xE0 }.CopyTo(photo, 0);
            await using var tar = new System.Formats.Tar.TarWriter(stream, leaveOpen: true);
            for (int i = 0; i < megaBytes; i++)
            {
                await tar.WriteEntryAsync(new System.Formats.Tar.PaxTarEntry(System.Formats.Tar.TarEntryType.RegularFile, $"{i}.jpg") { DataStream = new MemoryStream(photo) });
            }
            string captions = string.Concat(Enumerable.Range(0, megaBytes).Select(i => $"{i}.jpg#0\ta photo\n"));
            await tar.WriteEntryAsync(new System.Formats.Tar.PaxTarEntry(System.Formats.Tar.TarEntryType.RegularFile, "captions.txt") { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(captions)) });
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
