using System.Diagnostics;
using System.Text.Json.Nodes;

namespace CaptionService.Api.Tests.TrainingJobs;

/// <summary>The service's data on a disk of its own (a small tmpfs) that becomes full while a trainer works, on both databases.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class DiskFullTests(Databases databases, SharedFeatures features, ITestOutputHelper output) : IDisposable
{
    private const int Epochs = 40;

    private readonly string _disk = Directory.CreateTempSubdirectory("captionservice-disk-").FullName;

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task A_job_that_finds_the_disk_full_says_so_and_ends_with_the_same_weights_once_there_is_room(string kind)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "A small disk is a tmpfs.");
        (int mounted, string why) = await Run("mount", "-t", "tmpfs", "-o", "size=48m", "captionservice-test", _disk);
        Assert.SkipWhen(mounted != 0, "A small disk cannot be mounted here: " + why);
        string storage = Path.Combine(_disk, "data");
        Directory.CreateDirectory(storage);
        Directory.CreateSymbolicLink(Path.Combine(storage, "features"), features.Folder);
        await using var service = new TrainingService(await databases.Fresh(kind), features, output, storage);
        await service.Start();
        string dataset = await service.AddDataset();
        string broken = await service.StartJob(dataset, SmallDataset.Job(Epochs));
        await service.Further(broken, attempt: 1);

        Fill();
        await service.UntilNoTrainer();
        Assert.Contains("epoch", await File.ReadAllTextAsync(service.JobFile(broken, "events.jsonl"), Service.Cancellation), StringComparison.Ordinal);
        if (kind == "postgres")
        {
            // Nothing but the trainer needs this disk: the job has failed, and does so again while there is no room.
            OutOfRoom(await service.Until(broken, "failed"));
            await Resume(service, broken);
            OutOfRoom(await service.Until(broken, "failed"));
        }
        NothingHalfWritten(service, broken);
        File.Delete(Ballast);
        OutOfRoom(await service.Until(broken, "failed"));       // the embedded database had no room to say so before
        NothingHalfWritten(service, broken);
        Assert.Contains(service.Said, line => line.Contains("\"Code\":106", StringComparison.Ordinal) && line.Contains(broken, StringComparison.Ordinal));
        await Resume(service, broken);
        await service.Until(broken, "succeeded");

        string whole = await service.StartJob(dataset, SmallDataset.Job(Epochs));
        await service.Until(whole, "succeeded");
        foreach (string file in (string[])["checkpoint.safetensors", "model/decoder.safetensors"])
        {
            Assert.True(File.ReadAllBytes(service.JobFile(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(service.JobFile(broken, file))), $"{file} differs");
        }
        Assert.Equal(Enumerable.Range(1, Epochs), (await service.Events(broken)).Where(e => e.Type == "epoch").Select(e => e.Data.GetProperty("epoch").GetInt32()));
        NothingHalfWritten(service, broken);
    }

    public void Dispose()
    {
        using (Process umount = Process.Start(new ProcessStartInfo("umount", [_disk]) { RedirectStandardError = true })!)
        {
            umount.WaitForExit();       // fails where nothing was mounted
        }
        Directory.Delete(_disk, recursive: true);
    }

    private string Ballast => Path.Combine(_disk, "ballast");

    // To the last page.
    private void Fill()
    {
        using var file = new FileStream(Ballast, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            while (true)
            {
                file.Write(new byte[4096]);
            }
        }
        catch (IOException)
        {
            // No space left on device.
        }
    }

    private static void OutOfRoom(JsonNode job) => Assert.Equal("The disk is full. Make room and resume the job: it goes on from its last checkpoint.", (string?)job["error"]);

    private static async Task Resume(TrainingService service, string job) =>
        Assert.Equal(202, (await Answer.To(service.Client, $"/training-jobs/{job}/resume", new ByteArrayContent([]))).Status);

    private static void NothingHalfWritten(TrainingService service, string job)
    {
        Assert.Empty(Directory.GetFileSystemEntries(service.JobFile(job, ""), "*.tmp"));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(service.Storage, "tmp")));
    }

    private static async Task<(int Code, string Said)> Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string said = await process.StandardError.ReadToEndAsync(Service.Cancellation);
        await process.WaitForExitAsync(Service.Cancellation);
        return (process.ExitCode, said);
    }
}
