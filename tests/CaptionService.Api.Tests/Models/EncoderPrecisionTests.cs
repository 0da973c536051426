namespace CaptionService.Api.Tests.Models;

/// <summary>How the encoder runs, and who may choose.</summary>
public sealed class EncoderPrecisionTests(ShippedSmall shipped, Service service)
{
    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    public async Task What_is_forced_runs_and_the_models_say_so(string precision)
    {
        await using var factory = new ServiceFactory(host => host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Captioning:EncoderPrecision", precision));
        using HttpClient client = await factory.Start(ready: true);
        Assert.Equal(precision, (string?)(await Answer.Get(client, "/models")).Body["models"]![0]!["encoderPrecision"]);
        Assert.NotEmpty((await Answer.To(client, "/captions", Service.Bytes(Photos.Cat))).Best());
    }

    [Fact]
    public async Task Left_to_itself_the_service_says_what_it_chose() =>
        Assert.Contains((string?)(await Answer.Get(service.Client, "/models/everyday-en")).Body["encoderPrecision"], (string[])["float32", "bfloat16", "int8"]);

    [Fact]
    public async Task One_that_does_not_exist_ends_the_start_and_says_which_do()
    {
        await using var program = new ServiceProcess(("Captioning__EncoderPrecision", "int4"));
        Assert.NotEqual(0, await program.Exit());
        Assert.Contains("auto, float32, bfloat16 or int8", program.Log, StringComparison.Ordinal);
    }
}
