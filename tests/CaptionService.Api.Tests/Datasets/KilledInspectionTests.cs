using System.Diagnostics;

namespace CaptionService.Api.Tests.Datasets;

/// <summary>An inspection that somebody kills: the system that is out of memory, or a photo that crashes it.</summary>
public sealed class KilledInspectionTests(DatasetService service)
{
    [Theory]
    [InlineData(2, "ready")]
    [InlineData(3, "refused")]
    public async Task It_is_begun_again_twice(int kills, string status)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no SIGKILL.");
        string id = (string)(await service.Send([("archive", "set.zip", Made.Zip(Made.Files))])).Body["id"]!;
        var killed = new HashSet<string>();
        while (killed.Count < kills)
        {
            foreach (string process in await Inspections(id))
            {
                if (killed.Count < kills && killed.Add(process))
                {
                    using Process kill = Process.Start("kill", ["-KILL", process]);
                }
            }
        }
        Answer answer;
        while ((string?)(answer = await Answer.Get(service.Client, $"/datasets/{id}")).Body["status"] == "checking")
        {
            await Task.Delay(20, Service.Cancellation);
        }
        Assert.Equal(status, (string?)answer.Body["status"]);
        Assert.Equal(status == "refused", ((string?)answer.Body["problem"] ?? "").StartsWith("The inspection broke off", StringComparison.Ordinal));
    }

    private static async Task<string[]> Inspections(string id)
    {
        using Process found = Process.Start(new ProcessStartInfo("pgrep", ["-f", $"Trainer.dll inspect .*{id}"]) { RedirectStandardOutput = true })!;
        string text = await found.StandardOutput.ReadToEndAsync(Service.Cancellation);
        return text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
